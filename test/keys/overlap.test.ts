import t from 'tap'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { awaitOverlap, keyToReplace } from '../../src/keys/overlap.ts'
import { createRotator, type Rotator } from '../../src/keys/rotator.ts'
import type { KeyStore } from '../../src/keys/key-store.ts'
import { addSeconds } from '../../src/keys/signing-key.ts'
import { SYSTEM, type AuditDraft } from '../../src/telemetry/audit.ts'
import { movableClock } from '../fakes/clock.ts'
import { memoryKeyStore } from '../fakes/memory-key-store.ts'
import { memoryKeyVault } from '../fakes/memory-key-vault.ts'
import { DAY, keyIn, POLICY, START } from '../fakes/memory-rings.ts'

const MOMENT_MS = 200
const WISHES = [{ kind: 'scheduled' }, { kind: 'forced' }, { kind: 'emergency', reason: 'drill' }] as const

interface Replicas {
  first: Rotator
  second: Rotator
  store: KeyStore
  trail: AuditDraft[]
  /** Lets time pass; waits that are over by then end. */
  pass: (milliseconds: number) => Promise<void>
}

/** Two replicas over one store, whose ring could rotate at once. */
async function replicas (): Promise<Replicas> {
  const { clock, advance } = movableClock(START)
  const trail: AuditDraft[] = []
  const store = memoryKeyStore([], trail)
  const waits = new Set<() => void>()
  const pause = async (milliseconds: number): Promise<void> => {
    const over = clock().getTime() + milliseconds
    await new Promise<void>(resolve => {
      const wake = (): void => {
        if (clock().getTime() < over) return
        waits.delete(wake)
        resolve()
      }
      waits.add(wake)
    })
  }
  const rotator = (name: string): Rotator => createRotator({ ring: createKeyRing(store, clock), store, vault: memoryKeyVault(name), policy: POLICY, clock, overlap: { ms: MOMENT_MS, askTime: async () => clock(), pause } })
  const [first, second] = [rotator('key'), rotator('other')]
  await first.settle()
  advance(2 * DAY)
  trail.length = 0
  return {
    first,
    second,
    store,
    trail,
    async pass (milliseconds) {
      await new Promise(resolve => { setImmediate(resolve) }) // what was called has been written
      advance(milliseconds / 1000)
      for (const wake of waits) wake()
    }
  }
}

/** Lets time pass until `call` is answered. */
async function answered<T> ({ pass }: Replicas, call: Promise<T>): Promise<T> {
  const state = { answered: false }
  void call.finally(() => { state.answered = true })
  while (!state.answered) await pass(10)
  return await call
}

const signingKeys = async ({ store }: Replicas): Promise<number> => (await store.read()).length - 1

for (const wish of WISHES) {
  await t.test(`${wish.kind}: a call that comes while another waits for its answer takes that rotation for its own, on another replica, too`, async t => {
    const made = await replicas()
    const early = made.first.rotate(wish, SYSTEM)
    await made.pass(MOMENT_MS - 10)
    const late = made.second.rotate(wish, SYSTEM)
    const answers = await answered(made, Promise.all([early, late]))
    t.same(answers[1], answers[0])
    t.equal(answers[0].signing, 'key-2')
    t.equal(await signingKeys(made), 2)
    t.equal(made.trail.filter(event => event.action === 'key.rotated').length, 1)
    t.equal(keyIn(await made.store.read(), 'key-2').revokedAt, null)
  })
}

for (const wish of WISHES.slice(1)) {
  await t.test(`${wish.kind}: calls one after the other rotate one after the other, whoever gets them`, async t => {
    const made = await replicas()
    const signing = ['key-1']
    for (const rotator of [made.first, made.second, made.second, made.first]) signing.push((await answered(made, rotator.rotate(wish, SYSTEM))).signing)
    t.equal(new Set(signing).size, 5)
  })
}

await t.test('calls of two kinds answer the same', async t => {
  const made = await replicas()
  await answered(made, made.first.rotate({ kind: 'forced' }, SYSTEM))
  const planned = made.first.rotate({ kind: 'scheduled' }, SYSTEM) // for tomorrow
  await made.pass(10)
  const forced = made.second.rotate({ kind: 'forced' }, SYSTEM)
  const answers = await answered(made, Promise.all([planned, forced]))
  t.same(answers[0], answers[1])
})

await t.test('an emergency that overlaps with a rotation by force is about the key that signed before', async t => {
  const made = await replicas()
  const forced = made.first.rotate({ kind: 'forced' }, SYSTEM)
  await made.pass(50)
  const emergency = made.second.rotate({ kind: 'emergency', reason: 'laptop stolen' }, SYSTEM)
  const answers = await answered(made, Promise.all([forced, emergency]))
  t.same(answers[1], answers[0])
  t.same((await made.store.read()).map(key => key.revokedReason), ['laptop stolen', null, null])
})

await t.test('whoever has revoked the key that signs, and then rotates, gets another key', async t => {
  for (const wish of WISHES.slice(1)) {
    const made = await replicas()
    await answered(made, made.first.revoke('key-1', 'leaked', SYSTEM))
    t.not((await answered(made, made.second.rotate(wish, SYSTEM))).signing, 'key-2', wish.kind)
  }
})

await t.test('a turn that came as planned was nobody\'s call', async t => {
  const made = await replicas()
  const turn = keyIn(await made.store.read(), 'key-2').signsFrom
  const ring = await made.store.read()
  t.equal(keyToReplace(ring, addSeconds(turn, 0.05), MOMENT_MS, POLICY)?.kid, 'key-2')
  t.equal(keyToReplace(ring, turn, 0, POLICY)?.kid, 'key-2')
  t.equal(keyToReplace(ring, addSeconds(turn, -0.001), 0, POLICY)?.kid, 'key-1')
})

await t.test('a young ring has nothing to go back to', async t => {
  const store = memoryKeyStore()
  const { clock } = movableClock(START)
  await createRotator({ ring: createKeyRing(store, clock), store, vault: memoryKeyVault(), policy: POLICY, clock }).settle()
  t.equal(keyToReplace(await store.read(), addSeconds(START, 0.05), MOMENT_MS, POLICY)?.kid, 'key-1')
  t.equal(keyToReplace([], START, MOMENT_MS, POLICY), undefined)
})

await t.test('the wait ends', async t => {
  const pauses: number[] = []
  const waitFor = async (...times: Array<Date | null>): Promise<number[]> => {
    pauses.length = 0
    await awaitOverlap(START, {
      ms: MOMENT_MS,
      async askTime () {
        const time = times.shift()
        if (!time) throw new Error('away')
        return time
      },
      pause: async milliseconds => pauses.push(milliseconds)
    })
    return [...pauses]
  }
  t.same(await waitFor(START, addSeconds(START, 0.199), addSeconds(START, 0.2)), [200, 1], 'when the database says so, and not before')
  t.same(await waitFor(START, addSeconds(START, -3_600)), [200], 'though its clock is set back')
  t.same(await waitFor(START, null), [200], 'though it has gone')
})
