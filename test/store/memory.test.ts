import t from 'tap'
import type { AuditDraft } from '../../src/telemetry/audit.ts'
import { assertionStoreConformance } from '../conformance/assertion-store.ts'
import { keyStoreConformance } from '../conformance/key-store.ts'
import { memoryAssertionStore } from '../fakes/memory-assertion-store.ts'
import { memoryKeyStore } from '../fakes/memory-key-store.ts'

await t.test('keys in memory', async t => {
  await keyStoreConformance(t, async () => {
    const trail: AuditDraft[] = []
    const store = memoryKeyStore([], trail)
    return { store, again: async () => store, trail: async () => trail }
  })
})

await t.test('used assertions in memory', async t => {
  await assertionStoreConformance(t, async () => {
    const store = memoryAssertionStore()
    return [store, store]
  })
})
