import type { KeyStore } from '../../src/keys/key-store.ts'
import type { SigningKey } from '../../src/keys/signing-key.ts'

/** A ring in memory: what each door of the service would find in the database. */
export function memoryKeyStore (initial: readonly SigningKey[] = []): KeyStore {
  let ring = initial
  return {
    read: async () => oldestFirst(ring),
    update: async change => {
      const kept = new Map(ring.map(key => [key.kid, key]))
      const after = change(oldestFirst(ring))
      for (const key of after) kept.set(key.kid, key)
      ring = [...kept.values()]
      return after
    }
  }
}

function oldestFirst (ring: readonly SigningKey[]): SigningKey[] {
  return [...ring].sort((a, b) =>
    a.publishedAt.getTime() - b.publishedAt.getTime() || a.signsFrom.getTime() - b.signsFrom.getTime() || (a.kid < b.kid ? -1 : 1))
}
