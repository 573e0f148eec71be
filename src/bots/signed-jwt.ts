/**
 * JWTs that others sign: clients their assertions, platforms the tokens of their workloads. Says whether one of the keys
 * that the caller chose signed it, and gives what it says; whether that is acceptable is not this file's business.
 * `jose` parses, chooses among the keys and verifies; a key or an address in a header is never followed.
 */
import { compactVerify, createLocalJWKSet, decodeJwt, decodeProtectedHeader, errors, type CryptoKey, type JSONWebKeySet, type JWK } from 'jose'

export type Claims = Readonly<Record<string, unknown>>

export type Opened =
  /** What it says for itself; `kid` is the key's, if the header names one. */
  | { is: 'authentic', claims: Claims }
  /** No key of the set fits the header. */
  | { is: 'of an unknown key' }
  | { is: 'forged' }
  /** The signature is good, but the header names no key where several fit. */
  | { is: 'authentic, of an unnamed key' }

/** Verifiers of our own take no larger token; nobody needs a larger one here either. */
const LARGEST_BYTES = 8 * 1024

/**
 * What a JWT says of itself before anybody has vouched for it: to find out whose keys to ask, and for nothing else.
 * @returns `null`, if it is no compact JWS of an acceptable size, algorithm and form
 */
export function peekUnverified (jwt: string, algorithms: readonly string[]): { alg: string, claims: Claims } | null {
  if (Buffer.byteLength(jwt) > LARGEST_BYTES) return null
  try {
    const { alg, crit } = decodeProtectedHeader(jwt)
    if (alg === undefined || !algorithms.includes(alg) || crit !== undefined) return null
    return { alg, claims: decodeJwt(jwt) }
  } catch {
    return null
  }
}

/** @param jwt one that {@link peekUnverified} did not turn down */
export async function openSigned (jwt: string, keys: readonly JWK[], algorithms: readonly string[]): Promise<Opened> {
  try {
    const { payload } = await compactVerify(jwt, createLocalJWKSet(asSet(keys)), { algorithms: [...algorithms] })
    return { is: 'authentic', claims: JSON.parse(new TextDecoder().decode(payload)) as Claims }
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) return await isOfAny(jwt, error, algorithms) ? { is: 'authentic, of an unnamed key' } : { is: 'forged' }
    return { is: error instanceof errors.JWKSNoMatchingKey ? 'of an unknown key' : 'forged' }
  }
}

/** A client that names no key where several fit is told so only if one of them did sign: else strangers would learn of keys. */
async function isOfAny (jwt: string, candidates: AsyncIterable<CryptoKey>, algorithms: readonly string[]): Promise<boolean> {
  for await (const key of candidates) {
    if (await compactVerify(jwt, key, { algorithms: [...algorithms] }).then(() => true, () => false)) return true
  }
  return false
}

/** `EdDSA` and `Ed25519` name one algorithm (RFC 9864); a SPIFFE bundle says of its keys for JWTs that they are for those. */
function asSet (keys: readonly JWK[]): JSONWebKeySet {
  return {
    keys: keys.map(({ alg, use, ...key }) => ({
      ...key,
      ...(alg !== undefined && key.kty !== 'OKP' && { alg }),
      ...(use !== undefined && { use: use === 'jwt-svid' ? 'sig' : use })
    }))
  }
}
