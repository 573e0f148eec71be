/** A signing key: what is known of it, and what follows from its dates. */

export type Clock = () => Date

export interface SigningKey {
  readonly kid: string
  /** Modulus length in bits. */
  readonly size: number
  readonly origin: 'generated' | 'imported'
  /** RFC 7518 6.3.1, base64url without padding. */
  readonly publicKey: { readonly n: string, readonly e: string }
  /** The private half as its vault sealed it; `null` once erased. */
  readonly sealedPrivateKey: string | null
  /** The `iss` values that tokens signed by this key may bear. */
  readonly issuers: readonly string[]
  readonly publishedAt: Date
  readonly signsFrom: Date
  /** `null` while no successor has a date. */
  readonly signsUntil: Date | null
  /** No token outlives its key: every `exp` plus the clock tolerance is at or before this. */
  readonly verifiesUntil: Date
  readonly revokedAt: Date | null
  readonly revokedReason: string | null
}

export const KEY_STATES = ['pending', 'signing', 'retired', 'gone', 'revoked'] as const
export type KeyState = typeof KEY_STATES[number]

/** The state of `key` at `now`, computed from its dates. A revocation holds whatever the clock says. */
export function stateAt (key: SigningKey, now: Date): KeyState {
  if (key.revokedAt !== null) return 'revoked'
  if (now < key.signsFrom) return 'pending'
  if (key.signsUntil === null || now < key.signsUntil) return 'signing'
  return now < key.verifiesUntil ? 'retired' : 'gone'
}

/** True while the JWKS shows `key`. */
export function isPublishedAt (key: SigningKey, now: Date): boolean {
  const state = stateAt(key, now)
  return state === 'pending' || state === 'signing' || state === 'retired'
}

/** The one key that signs at `now`. */
export function signingKeyAt (keys: readonly SigningKey[], now: Date): SigningKey | undefined {
  return keys.find(key => stateAt(key, now) === 'signing')
}

/** The keys that will sign, the next one first. */
export function pendingKeysAt (keys: readonly SigningKey[], now: Date): SigningKey[] {
  return keys.filter(key => stateAt(key, now) === 'pending').sort((a, b) => a.signsFrom.getTime() - b.signsFrom.getTime())
}

export function addSeconds (date: Date, seconds: number): Date {
  return new Date(date.getTime() + seconds * 1000)
}

export function latest (...dates: Date[]): Date {
  return new Date(Math.max(...dates.map(date => date.getTime())))
}

/**
 * The second from which on a bot's tokens are good again when all that it has are taken back at `now`, and when
 * the last of these would be over anyway. The next second: `iat` has whole seconds, and alone decides at every door.
 */
export function cutoffAt (ring: readonly SigningKey[], now: Date): { notBefore: number, until: number } {
  const notBefore = Math.floor(now.getTime() / 1000) + 1
  return { notBefore, until: Math.ceil(Math.max(notBefore, ...ring.map(key => key.verifiesUntil.getTime() / 1000))) }
}
