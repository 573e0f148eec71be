import type { KeyStore } from '../../src/keys/key-store.ts'
import type { SigningKey } from '../../src/keys/signing-key.ts'
import type { AuditDraft } from '../../src/telemetry/audit.ts'

/**
 * A ring in memory: what each door of the service would find in the database.
 * @param trail where the events of its changes go
 */
export function memoryKeyStore (initial: readonly SigningKey[] = [], trail: AuditDraft[] = []): KeyStore {
  let ring = initial
  return {
    read: async () => oldestFirst(ring),
    update: async (change, eventsOf = () => []) => {
      const before = oldestFirst(ring)
      const after = change(before)
      const changed = after.filter(key => !before.includes(key))
      if (changed.length > 0) trail.push(...eventsOf(before, after))
      ring = [...new Map([...ring, ...changed].map(key => [key.kid, key])).values()]
      return after
    }
  }
}

function oldestFirst (ring: readonly SigningKey[]): SigningKey[] {
  return [...ring].sort((a, b) =>
    a.publishedAt.getTime() - b.publishedAt.getTime() || a.signsFrom.getTime() - b.signsFrom.getTime() || (a.kid < b.kid ? -1 : 1))
}
