/** Client assertions (`private_key_jwt`, RFC 7523): a JWT that a bot signs anew each time it asks for a token. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { ClientKey } from './bot.ts'
import { faultOfTimes, openSigned, peekUnverified, type Claims } from './signed-jwt.ts'

/** As the metadata document announces them. `Ed25519` is what RFC 9864 calls `EdDSA` with such a key. */
export const ASSERTION_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const
const ACCEPTED = [...ASSERTION_ALGORITHMS, 'Ed25519']

const LONGEST_SECONDS = 300
const LONGEST_ID = 256

export interface AssertionPolicy {
  /** Whom an assertion may be meant for: our issuer, the token endpoint's address. */
  readonly audiences: readonly string[]
  readonly clockToleranceSeconds: number
}

export type Judged =
  | { is: 'good', jti: string, until: number }
  /** A bot's key signed it, so that it may be said what else is wrong. */
  | { is: 'wrong', why: string }
  /** Who sent it is not known, and must not learn whether the client and its keys are. */
  | { is: 'not authentic' }

/** @returns the client that an assertion names, or `null` if it is no assertion that could ever be good */
export function clientOfUnverified (assertion: string): string | null {
  const subject = peekUnverified(assertion, ACCEPTED)?.claims.sub
  return typeof subject === 'string' ? subject : null
}

/**
 * Holds an assertion against the keys of the bot that it names. Where none fits, as when there is no such bot, a key that
 * nobody has takes their place, so that the answer takes as long.
 */
export async function judgeAssertion (assertion: string, bot: string, keys: readonly ClientKey[], now: Date, policy: AssertionPolicy): Promise<Judged> {
  const opened = await openSigned(assertion, keys, ACCEPTED)
  switch (opened.is) {
    case 'authentic': return judgeClaims(opened.claims, bot, now, policy)
    case 'authentic, of an unnamed key': return { is: 'wrong', why: 'several registered keys fit: name the one that signs by kid, in the header and in the bot\'s JWKS' }
    case 'forged': return { is: 'not authentic' }
    case 'of an unknown key':
      await openSigned(assertion, nobodysKeys(assertion), ACCEPTED)
      return { is: 'not authentic' }
  }
}

function judgeClaims (claims: Claims, bot: string, now: Date, { audiences, clockToleranceSeconds: tolerance }: AssertionPolicy): Judged {
  const { iss, sub, aud, jti } = claims
  const wrong = (why: string): Judged => ({ is: 'wrong', why })
  if (sub !== bot || iss !== bot) return wrong('iss and sub take the client id, both')
  const meantFor: unknown[] = Array.isArray(aud) ? aud : [aud]
  // Whoever else it is meant for could use it here, too.
  if (meantFor.length === 0 || !meantFor.every(one => audiences.some(audience => audience === one))) return wrong(`aud takes ${audiences.join(' or ')}, and nobody else`)
  const fault = faultOfTimes(claims, now, tolerance)
  if (fault !== null) return wrong(fault)
  const end = Number(claims.exp) + tolerance
  if (end > now.getTime() / 1000 + LONGEST_SECONDS + 2 * tolerance) return wrong(`exp takes at most ${LONGEST_SECONDS} seconds from now`)
  if (typeof jti !== 'string' || jti === '' || jti.length > LONGEST_ID) return wrong(`jti is missing: another text for each assertion, 1 to ${LONGEST_ID} characters`)
  return { is: 'good', jti, until: Math.ceil(end) }
}

/** A key of the kind that signed, under whatever `kid` the header names; nobody has its private half. */
function nobodysKeys (assertion: string): ClientKey[] {
  const { alg = '', kid } = peekUnverified(assertion, ACCEPTED) ?? {}
  const key = alg === 'ES256' ? OF_NOBODY.ec : /^[RP]S/.test(alg) ? OF_NOBODY.rsa : OF_NOBODY.okp
  return [kid === undefined ? key : { ...key, kid }]
}

const OF_NOBODY = {
  // To a verifier any odd number of this size is a modulus: finding two primes would take its time at each start.
  rsa: { kty: 'RSA', e: 'AQAB', n: Buffer.from([0xc1, ...randomBytes(254), 0x01]).toString('base64url') },
  ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) as ClientKey,
  okp: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) as ClientKey
}
