import { mock } from 'node:test'
import { setImmediate as takeTurns } from 'node:timers/promises'
import t from 'tap'
import { createKeyRing, type KeyRing } from '../../src/keys/key-ring.ts'
import type { KeyStore } from '../../src/keys/key-store.ts'
import type { RotationPolicy } from '../../src/keys/rotation-plan.ts'
import { createRotator, type Rotator } from '../../src/keys/rotator.ts'
import { addSeconds, type SigningKey } from '../../src/keys/signing-key.ts'
import { SYSTEM, type AuditDraft, type By } from '../../src/telemetry/audit.ts'
import { movableClock, type MovableClock } from '../fakes/clock.ts'
import { memoryKeyStore } from '../fakes/memory-key-store.ts'
import { memoryKeyVault, type MemoryKeyVault } from '../fakes/memory-key-vault.ts'
import { DAY, HOUR, keyIn, lineOf, POLICY, START } from '../fakes/memory-rings.ts'

interface Replica extends MovableClock { ring: KeyRing, rotator: Rotator, store: KeyStore, vault: MemoryKeyVault }

function replica (parts: Partial<Replica> & { policy?: RotationPolicy } = {}): Replica {
  const time = movableClock(START)
  const { store = memoryKeyStore(), vault = memoryKeyVault(), clock = time.clock, advance = time.advance, policy = POLICY } = parts
  const ring = createKeyRing(store, clock)
  return { store, vault, clock, advance, ring, rotator: createRotator({ ring, store, vault, policy, clock }) }
}

async function settledReplica (parts: Parameters<typeof replica>[0] = {}): Promise<Replica> {
  const made = replica(parts)
  await made.rotator.settle()
  return made
}

/** A store in which something else happens between a look at the ring and its change. */
function interrupted (store: KeyStore, by: () => Promise<unknown>): KeyStore {
  let left = 1
  return {
    read: store.read,
    async update (change, eventsOf) {
      if (left-- > 0) await by()
      return await store.update(change, eventsOf)
    }
  }
}

await t.test('settle', async t => {
  await t.test('makes no more keys than the ring lacks, and none the second time', async t => {
    const { rotator, vault, ring } = await settledReplica()
    await rotator.settle()
    t.equal(vault.made(), 2)
    t.same(lineOf(ring.all(), START), { signing: 'key-1', pending: ['key-2'] })
  })

  await t.test('by two replicas at once makes one ring', async t => {
    const first = replica()
    const second = replica({ ...first, vault: memoryKeyVault('other') })
    await Promise.all([first.rotator.settle(), second.rotator.settle()])
    t.equal((await first.store.read()).length, 2)
    t.same(first.ring.all().map(key => key.kid), second.ring.all().map(key => key.kid))
  })
})

await t.test('rotate', async t => {
  await t.test('says which key signs, which one follows, and when', async t => {
    const { rotator, advance, clock } = await settledReplica()
    advance(HOUR)
    t.same(await rotator.rotate({ kind: 'scheduled' }, SYSTEM), { effectiveAt: addSeconds(START, DAY), signing: 'key-1', next: 'key-2' })
    advance(DAY)
    t.same(await rotator.rotate({ kind: 'scheduled' }, SYSTEM), { effectiveAt: addSeconds(clock(), DAY), signing: 'key-2', next: 'key-3' })
    advance(3 * DAY)
    t.match(await rotator.rotate({ kind: 'scheduled' }, SYSTEM), { effectiveAt: addSeconds(clock(), DAY), signing: 'key-3' })
  })

  await t.test('takes hold now if the key that waits was published long enough ago', async t => {
    const { rotator, advance, clock } = await settledReplica()
    advance(DAY)
    t.same(await rotator.rotate({ kind: 'scheduled' }, SYSTEM), { effectiveAt: clock(), signing: 'key-2', next: 'key-3' })
  })

  await t.test('by force, from now', async t => {
    const { rotator, ring, clock } = await settledReplica()
    t.same(await rotator.rotate({ kind: 'forced' }, SYSTEM), { effectiveAt: clock(), signing: 'key-2', next: 'key-3' })
    t.equal(keyIn(ring.all(), 'key-1').revokedAt, null)
  })

  await t.test('by force after a sleep, when no key waits: still from now', async t => {
    const { rotator, advance, clock } = await settledReplica()
    advance(40 * DAY)
    t.match(await rotator.rotate({ kind: 'forced' }, SYSTEM), { effectiveAt: clock(), signing: 'key-3' })
  })

  await t.test('in an emergency revokes the key that signed', async t => {
    const { rotator, ring, clock } = await settledReplica()
    t.same(await rotator.rotate({ kind: 'emergency', reason: 'laptop stolen' }, SYSTEM), { effectiveAt: clock(), signing: 'key-2', next: 'key-3' })
    t.match(keyIn(ring.all(), 'key-1'), { revokedAt: clock(), revokedReason: 'laptop stolen', sealedPrivateKey: null })
  })
})

await t.test('calls that overlap', async t => {
  for (const wish of [{ kind: 'scheduled' }, { kind: 'forced' }, { kind: 'emergency', reason: 'drill' }] as const) {
    await t.test(`rotate once and answer the same: ${wish.kind}`, async t => {
      const first = await settledReplica()
      const second = replica({ ...first, vault: memoryKeyVault('other') })
      await second.ring.refresh()
      first.advance(2 * DAY)
      const [answer, ...others] = await Promise.all([first, second, first, first].map(async ({ rotator }) => await rotator.rotate(wish, SYSTEM)))
      for (const other of others) t.same(other, answer)
      t.equal(answer?.signing, 'key-2')
      t.equal((await first.store.read()).length, 3)
    })
  }

  await t.test('rotate once also when one comes while the other is being written', async t => {
    const store = memoryKeyStore()
    let rotations: Array<Promise<unknown>> = []
    const { rotator } = await settledReplica({
      store: {
        read: store.read,
        async update (change, eventsOf) {
          const after = await store.update(change, eventsOf)
          if (rotations.length === 1) rotations.push(rotator.rotate({ kind: 'forced' }, SYSTEM))
          await takeTurns()
          return after
        }
      }
    })
    rotations = [rotator.rotate({ kind: 'forced' }, SYSTEM)]
    await rotations[0]
    const [first, second] = await Promise.all(rotations)
    t.same(second, first)
  })

  await t.test('revoke what an emergency is about, though another call has rotated meanwhile', async t => {
    const first = await settledReplica()
    const second = replica({ ...first, store: interrupted(first.store, async () => await first.rotator.rotate({ kind: 'forced' }, SYSTEM)) })
    await second.ring.refresh()
    await second.rotator.rotate({ kind: 'emergency', reason: 'laptop stolen' }, SYSTEM)
    t.equal(keyIn(await first.store.read(), 'key-1').revokedReason, 'laptop stolen')
  })

  await t.test('lose no revocation: the signing key and the one behind it, while a third waits', async t => {
    const { rotator, store, advance, clock } = await settledReplica()
    advance(30 * DAY - HOUR)
    await rotator.settle()
    t.same(lineOf(await store.read(), clock()), { signing: 'key-1', pending: ['key-2', 'key-3'] })
    await Promise.all(['key-2', 'key-1'].map(async kid => await rotator.revoke(kid, 'leaked', SYSTEM)))
    const ring = await store.read()
    t.same(['key-1', 'key-2'].map(kid => keyIn(ring, kid).revokedReason), ['leaked', 'leaked'])
    t.equal(lineOf(ring, clock()).signing, 'key-3')
  })
})

await t.test('revoke', async t => {
  await t.test('of a key that got into the ring by a write that was never acknowledged', async t => {
    const store = memoryKeyStore()
    let isCut = false
    const update: KeyStore['update'] = async (change, eventsOf) => {
      const after = await store.update(change, eventsOf)
      if (isCut) throw new Error('cut')
      return after
    }
    const { rotator } = await settledReplica({ store: { read: store.read, update } })
    isCut = true
    await t.rejects(rotator.rotate({ kind: 'forced' }, SYSTEM), { message: 'cut' })
    isCut = false
    t.match(await rotator.revoke('key-3', 'stolen', SYSTEM), { kid: 'key-3', revokedReason: 'stolen' })
    t.same((await store.read()).map(({ kid, revokedReason }) => [kid, revokedReason]), [['key-1', null], ['key-2', null], ['key-3', 'stolen'], ['key-4', null]])
  })

  await t.test('twice keeps the first reason', async t => {
    const { rotator } = await settledReplica()
    const once = await rotator.revoke('key-1', 'first', SYSTEM)
    t.equal(once?.revokedReason, 'first')
    t.same(await rotator.revoke('key-1', 'second', SYSTEM), once)
  })

  await t.test('of an unknown kid says so', async t => {
    const { rotator } = await settledReplica()
    t.equal(await rotator.revoke('nobody', 'drill', SYSTEM), null)
  })

  await t.test('gives the replica that did it the new ring at once', async t => {
    const { rotator, ring } = await settledReplica()
    await rotator.revoke('key-1', 'drill', SYSTEM)
    t.same(ring.find(POLICY.issuer, 'key-1'), { found: 'revoked' })
    t.equal(ring.signing()?.kid, 'key-2')
  })
})

await t.test('the audit trail', async t => {
  const ALICE: By = { actor: { kind: 'user', name: 'alice' }, requestId: 'request-1' }

  /** A settled replica, and what its trail says from then on. */
  async function watchedReplica (parts: { trail?: AuditDraft[], store?: KeyStore } = {}): Promise<Replica & { trail: AuditDraft[] }> {
    const { trail = [], store = memoryKeyStore([], trail) } = parts
    const made = await settledReplica({ store })
    trail.length = 0
    return { ...made, trail }
  }
  const told = (trail: AuditDraft[], action: string): AuditDraft[] => trail.filter(event => event.action === action)

  await t.test('tells of the keys that the plan publishes', async t => {
    const trail: AuditDraft[] = []
    const { ring } = await settledReplica({ store: memoryKeyStore([], trail) })
    t.same(trail, ring.all().map(({ kid, signsFrom }) => ({ ...SYSTEM, action: 'key.published', target: kid, detail: { signsFrom } })))
  })

  await t.test('tells of a rotation by force who asked, and for which key', async t => {
    const { rotator, trail, clock } = await watchedReplica()
    await rotator.rotate({ kind: 'forced' }, ALICE)
    t.same(told(trail, 'key.rotated'), [{ ...ALICE, action: 'key.rotated', target: 'key-2', detail: { kind: 'forced', from: 'key-1', effectiveAt: clock() } }])
    t.match(told(trail, 'key.published'), [{ ...SYSTEM, target: 'key-3' }])
    t.equal(trail.length, 2)
  })

  await t.test('tells of a rotation that is only planned when it takes hold', async t => {
    const { rotator, trail, advance } = await watchedReplica()
    advance(HOUR)
    await rotator.rotate({ kind: 'scheduled' }, ALICE)
    t.same(trail, [{ ...ALICE, action: 'key.rotated', target: 'key-2', detail: { kind: 'scheduled', from: 'key-1', effectiveAt: addSeconds(START, DAY) } }])
  })

  await t.test('tells of an emergency with its reason', async t => {
    const { rotator, trail } = await watchedReplica()
    await rotator.rotate({ kind: 'emergency', reason: 'laptop stolen' }, ALICE)
    t.match(told(trail, 'key.rotated'), [{ ...ALICE, target: 'key-2', detail: { kind: 'emergency', reason: 'laptop stolen', from: 'key-1' } }])
  })

  for (const wish of [{ kind: 'scheduled' }, { kind: 'forced' }, { kind: 'emergency', reason: 'drill' }] as const) {
    await t.test(`tells once of calls that overlap: ${wish.kind}`, async t => {
      const { trail, ...first } = await watchedReplica()
      const second = replica({ ...first, vault: memoryKeyVault('other') })
      await second.ring.refresh()
      first.advance(2 * DAY)
      await Promise.all([first, second, first].map(async ({ rotator }) => await rotator.rotate(wish, ALICE)))
      t.equal(told(trail, 'key.rotated').length, 1)
    })
  }

  await t.test('tells of no rotation that another call has done, though the plan has something to do', async t => {
    const { trail, ...first } = await watchedReplica()
    const meanwhile = async (): Promise<void> => {
      await first.rotator.rotate({ kind: 'forced' }, SYSTEM)
      first.advance(HOUR)
    }
    const second = replica({ ...first, store: interrupted(first.store, meanwhile) })
    await second.ring.refresh()
    await second.rotator.rotate({ kind: 'forced' }, ALICE)
    t.equal(keyIn(await first.store.read(), 'key-1').sealedPrivateKey, null, 'a private half was to be erased')
    t.match(told(trail, 'key.rotated'), [SYSTEM])
    t.equal(told(trail, 'key.rotated').length, 1)
  })

  await t.test('tells of a revocation once, whoever else asks for it', async t => {
    const { rotator, trail } = await watchedReplica()
    await Promise.all(['first', 'second'].map(async reason => await rotator.revoke('key-1', reason, ALICE)))
    await rotator.revoke('key-1', 'third', SYSTEM)
    t.match(told(trail, 'key.revoked'), [{ ...ALICE, target: 'key-1', detail: { reason: 'first' } }])
    t.equal(told(trail, 'key.revoked').length, 1)
  })

  await t.test('tells of no revocation of a key that is not there, or is revoked already, though the plan has something to do', async t => {
    const { rotator, trail, advance } = await watchedReplica()
    await rotator.revoke('key-1', 'drill', ALICE)
    for (const kid of ['nobody', 'key-1']) {
      trail.length = 0
      advance(30 * DAY)
      await rotator.revoke(kid, 'drill', ALICE)
      t.ok(trail.length > 0, 'the plan had something to do')
      t.same(told(trail, 'key.revoked'), [], kid)
    }
  })
})

await t.test('the clockwork', async t => {
  t.beforeEach(() => { mock.timers.enable({ apis: ['setTimeout'] }) })
  t.afterEach(() => { mock.timers.reset() })

  /** Lets time pass, for timers and clock alike. */
  async function pass ({ advance }: Replica, seconds: number): Promise<void> {
    advance(seconds)
    mock.timers.tick(seconds * 1000)
    await takeTurns()
  }
  const policy = { ...POLICY, rotateEverySeconds: 100, publishAheadSeconds: 50 }

  await t.test('settles at once, and whenever the plan has something to do', async t => {
    const made = replica({ policy })
    const stop = made.rotator.start(error => { t.fail(String(error)) })
    t.teardown(stop)
    await takeTurns()
    t.same(lineOf(made.ring.all(), made.clock()), { signing: 'key-1', pending: ['key-2'] })
    for (const seconds of [30, 30, 29]) await pass(made, seconds)
    t.equal(made.ring.all().length, 2)
    await pass(made, 1)
    t.same(lineOf(made.ring.all(), made.clock()), { signing: 'key-1', pending: ['key-2', 'key-3'] })
  })

  await t.test('tells of a failure, and tries again a second later', async t => {
    const store = memoryKeyStore()
    let isAway = true
    const made = replica({ policy, store: { read: async () => { if (isAway) throw new Error('away'); return await store.read() }, update: store.update } })
    const failures: unknown[] = []
    const stop = made.rotator.start(error => { failures.push(error) })
    t.teardown(stop)
    await takeTurns()
    t.match(failures, [{ message: 'away' }])
    isAway = false
    await pass(made, 1)
    t.equal(made.ring.signing()?.kid, 'key-1')
    t.equal(failures.length, 1)
  })

  await t.test('stops when told to', async t => {
    const made = replica({ policy })
    const stop = made.rotator.start(error => { t.fail(String(error)) })
    await takeTurns()
    stop()
    await pass(made, 95)
    t.equal(made.ring.all().length, 2)
  })
})

await t.test('the ring', async t => {
  await t.test('finds a key for its own issuers only', async t => {
    const { ring } = await settledReplica()
    t.match(ring.find(POLICY.issuer, 'key-1'), { found: 'key', key: { kid: 'key-1' } })
    t.match(ring.find(POLICY.issuer, 'key-2'), { found: 'key' }, 'a key that waits, too: another replica may sign with it')
    t.same(ring.find('https://other.example.com', 'key-1'), { found: 'nothing' })
    t.same(ring.find(POLICY.issuer, 'nobody'), { found: 'nothing' })
    t.ok(ring.knowsIssuer(POLICY.issuer))
    t.notOk(ring.knowsIssuer('https://other.example.com'))
  })

  await t.test('forgets a key and its issuer when its last token is over', async t => {
    const { store, ring, advance } = await settledReplica()
    await store.update(keys => keys.map((key): SigningKey => ({ ...key, issuers: [key.kid] })))
    await ring.refresh()
    advance(31 * DAY + 4)
    t.match(ring.find('key-1', 'key-1'), { found: 'key' })
    t.ok(ring.knowsIssuer('key-1'))
    advance(1)
    t.same(ring.find('key-1', 'key-1'), { found: 'nothing' })
    t.notOk(ring.knowsIssuer('key-1'))
  })

  await t.test('knows a revoked key whatever the clock says', async t => {
    const { ring, rotator, advance } = await settledReplica()
    await rotator.revoke('key-1', 'drill', SYSTEM)
    advance(-DAY)
    t.same(ring.find(POLICY.issuer, 'key-1'), { found: 'revoked' })
    advance(1_000 * DAY)
    t.same(ring.find(POLICY.issuer, 'key-1'), { found: 'revoked' })
  })
})
