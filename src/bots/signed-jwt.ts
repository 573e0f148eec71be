/**
 * JWTs that others sign: clients their assertions, platforms the tokens of their workloads. Says whether one of the keys
 * that the caller chose signed it, and gives what it says; whether that is acceptable is not this file's business.
 * `jose` parses, chooses among the keys and verifies; a key or an address in a header is never followed.
 */
import { compactVerify, createLocalJWKSet, decodeJwt, decodeProtectedHeader, errors, type CryptoKey, type JSONWebKeySet, type JWK } from 'jose'
import type { ClientKey } from './bot.ts'

export type Claims = Readonly<Record<string, unknown>>

export type Opened =
  | { is: 'authentic', claims: Claims }
  /** So it is, but its header names no key where several fit. */
  | { is: 'authentic, of an unnamed key', claims: Claims }
  /** No key of the set fits the header. */
  | { is: 'of an unknown key' }
  | { is: 'forged' }

/** Verifiers of our own take no larger token; nobody needs a larger one here either. */
const LARGEST_BYTES = 8 * 1024

/**
 * What a JWT says of itself before anybody has vouched for it: to find out whose keys to ask, and for nothing else.
 * @returns `null`, if it is no compact JWS of an acceptable size, algorithm and form
 */
export function peekUnverified (jwt: string, algorithms: readonly string[]): { alg: string, kid: string | undefined, claims: Claims } | null {
  if (Buffer.byteLength(jwt) > LARGEST_BYTES) return null
  try {
    const { alg, kid, crit } = decodeProtectedHeader(jwt)
    if (alg === undefined || !algorithms.includes(alg) || crit !== undefined) return null
    return { alg, kid, claims: decodeJwt(jwt) }
  } catch {
    return null
  }
}

/** @param jwt one that {@link peekUnverified} did not turn down */
export async function openSigned (jwt: string, keys: readonly ClientKey[], algorithms: readonly string[]): Promise<Opened> {
  try {
    const { payload } = await compactVerify(jwt, createLocalJWKSet(asSet(keys)), { algorithms: [...algorithms] })
    return { is: 'authentic', claims: claimsIn(payload) }
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) return await openByAny(jwt, error, algorithms)
    return { is: error instanceof errors.JWKSNoMatchingKey ? 'of an unknown key' : 'forged' }
  }
}

/** @returns what is wrong with the times in a JWT at `now`, `null` if nothing is. `exp` is required. */
export function faultOfTimes ({ exp, iat, nbf }: Claims, now: Date, toleranceSeconds: number): string | null {
  const seconds = now.getTime() / 1000
  if (!isTime(exp)) return 'exp is missing: when it ends, in seconds since 1970'
  if (exp + toleranceSeconds <= seconds) return 'it has expired (exp): make a new one, and compare the clocks'
  for (const [name, time] of [['iat', iat], ['nbf', nbf]] as const) {
    if (time !== undefined && !isTime(time)) return `${name} takes seconds since 1970`
    if (isTime(time) && time - toleranceSeconds > seconds) return `it is not valid yet (${name}): compare the clocks`
  }
  return null
}

function isTime (value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

/** Whoever names no key where several fit learns of that only if one of them did sign: strangers must not. */
async function openByAny (jwt: string, candidates: AsyncIterable<CryptoKey>, algorithms: readonly string[]): Promise<Opened> {
  for await (const key of candidates) {
    const opened = await compactVerify(jwt, key, { algorithms: [...algorithms] }).catch(() => null)
    if (opened) return { is: 'authentic, of an unnamed key', claims: claimsIn(opened.payload) }
  }
  return { is: 'forged' }
}

function claimsIn (payload: Uint8Array): Claims {
  return JSON.parse(new TextDecoder().decode(payload)) as Claims
}

/** `EdDSA` and `Ed25519` name one algorithm (RFC 9864); a SPIFFE bundle says of its keys for JWTs that they are for those. */
function asSet (keys: readonly ClientKey[]): JSONWebKeySet {
  return {
    keys: (keys as readonly JWK[]).map(({ alg, use, ...key }) => ({
      ...key,
      ...(alg !== undefined && key.kty !== 'OKP' && { alg }),
      ...(use !== undefined && { use: use === 'jwt-svid' ? 'sig' : use })
    }))
  }
}
