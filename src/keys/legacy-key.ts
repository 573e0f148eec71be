/**
 * A legacy key: the public half of a key that another server, such as OpenMetadata, signed bot tokens with.
 * It signs nothing here and is never published; tokens that it signed verify until a date.
 */
import type { AuditDraft } from '../telemetry/audit.ts'
import type { Lookup } from './key-ring.ts'
import type { Clock, KeyState } from './signing-key.ts'
import { createVerificationKeys } from './verification-key.ts'

export interface LegacyKey {
  /** As the headers of those tokens have it. */
  readonly kid: string
  readonly size: number
  readonly publicKey: { readonly n: string, readonly e: string }
  /** The `iss` of those tokens. */
  readonly issuer: string
  readonly importedAt: Date
  readonly verifiesUntil: Date
  readonly revokedAt: Date | null
  readonly revokedReason: string | null
}

/** Where legacy keys are kept. Throws `StoreUnavailable`. */
export interface LegacyKeyStore {
  read: () => Promise<readonly LegacyKey[]>
  /** @returns false, and changes nothing, if a key has this kid */
  add: (key: LegacyKey, event: AuditDraft) => Promise<boolean>
  /** The first revocation stays. @returns the key as it is afterwards, `null` if there is none of that kid */
  revoke: (kid: string, reason: string, at: Date, event: AuditDraft) => Promise<LegacyKey | null>
}

/** What verifying with it takes: also a verifier elsewhere knows as much. */
export type LegacyPublicKey = Pick<LegacyKey, 'kid' | 'issuer' | 'publicKey' | 'verifiesUntil' | 'revokedAt'>

export function legacyStateAt (key: Pick<LegacyKey, 'revokedAt' | 'verifiesUntil'>, now: Date): KeyState {
  if (key.revokedAt !== null) return 'revoked'
  return now < key.verifiesUntil ? 'retired' : 'gone'
}

export interface LegacyLookups {
  knowsIssuer: (issuer: string) => boolean
  find: (issuer: string, kid: string) => Lookup
  /** When tokens without an end of their own are over. */
  verifiesUntil: (kid: string) => Date | null
}

export interface LegacyRing extends LegacyLookups {
  all: () => readonly LegacyKey[]
  refresh: () => Promise<void>
}

export function createLegacyRing (store: LegacyKeyStore, clock: Clock): LegacyRing {
  let keys: readonly LegacyKey[] = []
  return {
    all: () => keys,
    ...createLegacyLookups(() => keys, clock),
    refresh: async () => { keys = await store.read() }
  }
}

/** @param all the keys as they are now, whatever their state */
export function createLegacyLookups (all: () => readonly LegacyPublicKey[], clock: Clock): LegacyLookups {
  const verificationKeys = createVerificationKeys()

  return {
    knowsIssuer: issuer => all().some(key => key.issuer === issuer && legacyStateAt(key, clock()) !== 'gone'),
    find (issuer, kid) {
      const key = all().find(candidate => candidate.kid === kid && candidate.issuer === issuer)
      if (!key) return { found: 'nothing' }
      const state = legacyStateAt(key, clock())
      return state === 'retired' ? { found: 'key', key: verificationKeys.of(kid, key.publicKey) } : { found: state === 'revoked' ? 'revoked' : 'nothing' }
    },
    verifiesUntil: kid => all().find(key => key.kid === kid)?.verifiesUntil ?? null
  }
}
