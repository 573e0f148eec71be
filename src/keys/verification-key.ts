/** Public keys as verifiers take them: made once of each, so that "the very same key" is a question of identity. */
import { createPublicKey, type KeyObject } from 'node:crypto'

/** A public key in the forms that verifiers take, each made once. */
export interface VerificationKey {
  readonly kid: string
  readonly jwk: { readonly kty: 'RSA', readonly use: 'sig', readonly alg: 'RS256', readonly kid: string, readonly n: string, readonly e: string }
  readonly keyObject: KeyObject
  /** SubjectPublicKeyInfo. */
  readonly pem: string
}

/** RSA modulus and exponent, base64url. */
export interface PublicNumbers {
  readonly n: string
  readonly e: string
}

export function toVerificationKey (kid: string, { n, e }: PublicNumbers): VerificationKey {
  const jwk = { kty: 'RSA', use: 'sig', alg: 'RS256', kid, n, e } as const
  const keyObject = createPublicKey({ key: jwk, format: 'jwk' })
  return { kid, jwk, keyObject, pem: keyObject.export({ type: 'spki', format: 'pem' }).toString() }
}

export interface VerificationKeys {
  /** The same object for the same kid and numbers; another one as soon as the numbers differ. Throws for what is no key. */
  of: (kid: string, numbers: PublicNumbers) => VerificationKey
  /** Forgets all but these. */
  keep: (kids: { has: (kid: string) => boolean }) => void
}

export function createVerificationKeys (): VerificationKeys {
  const made = new Map<string, VerificationKey>()
  return {
    of (kid, { n, e }) {
      const known = made.get(kid)
      if (known?.jwk.n === n && known.jwk.e === e) return known
      const key = toVerificationKey(kid, { n, e })
      made.set(kid, key)
      return key
    },
    keep (kids) { for (const kid of made.keys()) if (!kids.has(kid)) made.delete(kid) }
  }
}
