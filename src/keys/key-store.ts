import type { AuditDraft } from '../telemetry/audit.ts'
import type { SigningKey } from './signing-key.ts'

export type RingChange = (ring: readonly SigningKey[]) => readonly SigningKey[]

export type RingEvents = (before: readonly SigningKey[], after: readonly SigningKey[]) => readonly AuditDraft[]

/** Where the ring is kept. Implementations throw `StoreUnavailable` when it cannot be reached or written. */
export interface KeyStore {
  /** Every key that there ever was, the oldest first. */
  read: () => Promise<readonly SigningKey[]>
  /**
   * Applies `change` to the latest ring in one transaction and makes the result durable.
   * `change` must be pure: it may run more than once. A ring returned as it came writes nothing.
   * @param eventsOf what to write to the audit trail with it
   * @returns the ring as it is afterwards
   */
  update: (change: RingChange, eventsOf?: RingEvents) => Promise<readonly SigningKey[]>
}
