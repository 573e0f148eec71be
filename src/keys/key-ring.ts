/**
 * The ring as this process knows it: read from the store, kept in memory, looked up by the minter and the verifier.
 * It owns lookups and nothing else: the rotation plan decides when a key signs, the rotator changes the store.
 */
import type { KeyStore } from './key-store.ts'
import { isPublishedAt, signingKeyAt, stateAt, type Clock, type SigningKey } from './signing-key.ts'
import { createVerificationKeys, type VerificationKey } from './verification-key.ts'

export type Lookup =
  | { found: 'key', key: VerificationKey }
  | { found: 'revoked' | 'nothing' }

export interface KeyRing {
  /** Every key, whatever its state. */
  all: () => readonly SigningKey[]
  signing: () => SigningKey | undefined
  /** The key that may verify a token of `issuer`: a key of one issuer never verifies a token of another. */
  find: (issuer: string, kid: string, now?: Date) => Lookup
  /** True for the current issuer and for each that a living token may bear. */
  knowsIssuer: (issuer: string) => boolean
  /** Counts up whenever the ring is replaced. */
  generation: () => number
  /** Reads the store anew. */
  refresh: () => Promise<void>
}

export function createKeyRing (store: KeyStore, clock: Clock): KeyRing {
  let keys: readonly SigningKey[] = []
  let byKid = new Map<string, { key: SigningKey, verification?: VerificationKey }>()
  let generation = 0
  /** That signed when it was last asked for: only one does at a time. */
  let signer: SigningKey | undefined
  const verificationKeys = createVerificationKeys()

  function replace (ring: readonly SigningKey[]): void {
    keys = ring
    signer = undefined
    byKid = new Map(ring.map(key => [key.kid, { key }]))
    generation++
    verificationKeys.keep(new Set(ring.filter(key => isPublishedAt(key, clock())).map(key => key.kid)))
  }

  return {
    all: () => keys,
    signing () {
      const now = clock()
      if (signer === undefined || stateAt(signer, now) !== 'signing') signer = signingKeyAt(keys, now)
      return signer
    },
    find (issuer, kid, now = clock()) {
      const known = byKid.get(kid)
      if (!known?.key.issuers.includes(issuer)) return { found: 'nothing' }
      const state = stateAt(known.key, now)
      if (state === 'revoked') return { found: 'revoked' }
      if (state === 'gone') return { found: 'nothing' }
      known.verification ??= verificationKeys.of(kid, known.key.publicKey)
      return { found: 'key', key: known.verification }
    },
    knowsIssuer: issuer => keys.some(key => key.issuers.includes(issuer) && stateAt(key, clock()) !== 'gone'),
    generation: () => generation,
    refresh: async () => { replace(await store.read()) }
  }
}
