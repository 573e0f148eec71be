import t from 'tap'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { createRotator } from '../../src/keys/rotator.ts'
import { pendingKeysAt } from '../../src/keys/signing-key.ts'
import { SYSTEM } from '../../src/telemetry/audit.ts'
import { memoryKeyStore } from '../fakes/memory-key-store.ts'
import { memoryKeyVault } from '../fakes/memory-key-vault.ts'

await t.test('a clock that moves between any two looks at it changes nothing', async t => {
  let now = Date.parse('2026-11-22T10:00:00Z')
  const clock = (): Date => new Date(now++)
  const store = memoryKeyStore()
  const ring = createKeyRing(store, clock)
  const policy = { rotateEverySeconds: 86_400, publishAheadSeconds: 3_600, maxTokenTtlSeconds: 3_600, clockToleranceSeconds: 5, maxStalenessSeconds: 300, issuer: 'https://one.example' }
  const rotator = createRotator({ ring, store, vault: memoryKeyVault(), policy, clock })
  await rotator.settle()
  for (const wish of [{ kind: 'forced' }, { kind: 'emergency', reason: 'drill' }, { kind: 'forced' }] as const) {
    const pending = pendingKeysAt(ring.all(), clock())[0]?.kid
    t.match(await rotator.rotate(wish, SYSTEM), { signing: pending }, `${wish.kind}: the pending key signs`)
    t.equal(ring.signing()?.kid, pending)
  }
})
