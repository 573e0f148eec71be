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

export type KeyState = 'pending' | 'signing' | 'retired' | 'gone' | 'revoked'

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
