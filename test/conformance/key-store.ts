import type { Test } from 'tap'
import type { KeyStore } from '../../src/keys/key-store.ts'
import type { SigningKey } from '../../src/keys/signing-key.ts'
import { SYSTEM, type AuditDraft } from '../../src/telemetry/audit.ts'
import { at, freshRing, keyIn, START } from '../fakes/memory-rings.ts'

/** Opens a new, empty one. */
export type MakeKeyStore = (t: Test) => Promise<{
  store: KeyStore
  /** Opens the same one a second time, as another process would. */
  again: () => Promise<KeyStore>
  /** Events of its changes, the oldest first. */
  trail: () => Promise<readonly AuditDraft[]>
}>

/** What every `KeyStore` promises. */
export async function keyStoreConformance (t: Test, makeStore: MakeKeyStore): Promise<void> {
  const revokedKey = (): SigningKey => ({ ...keyIn(freshRing(), 'k1'), sealedPrivateKey: null, signsUntil: at(1), revokedAt: at(1), revokedReason: 'lost; "quoted" ünïcode' })

  await t.test('is empty at first', async t => {
    const { store } = await makeStore(t)
    t.same(await store.read(), [])
  })

  await t.test('keeps every field of a key, to the millisecond, for every reader', async t => {
    const { store, again } = await makeStore(t)
    const key = { ...revokedKey(), issuers: ['https://one.example', 'https://two.example'], publishedAt: new Date(START.getTime() + 1) }
    t.same(await store.update(() => [key]), [key])
    t.strictSame(await store.read(), [key])
    t.strictSame(await (await again()).read(), [key])
  })

  await t.test('keeps what is null as null', async t => {
    const { store } = await makeStore(t)
    const key: SigningKey = { ...keyIn(freshRing(), 'k2'), sealedPrivateKey: null, signsUntil: null, revokedAt: null, revokedReason: null }
    await store.update(() => [key])
    t.strictSame(await store.read(), [key])
  })

  await t.test('gives the oldest key first', async t => {
    const { store } = await makeStore(t)
    const ring = ['c', 'a', 'b'].map((kid, number): SigningKey => ({ ...keyIn(freshRing(), 'k1'), kid, publishedAt: at(number), signsFrom: at(9 - number) }))
    await store.update(() => ring.toReversed())
    t.same((await store.read()).map(key => key.kid), ['c', 'a', 'b'])
  })

  await t.test('hands the latest ring to a change, and answers with what came of it', async t => {
    const { store, again } = await makeStore(t)
    const other = await again()
    await store.update(() => freshRing())
    const after = await other.update(ring => {
      t.same(ring.map(key => key.kid), ['k1', 'k2'])
      return ring.map(key => ({ ...key, revokedReason: 'seen' }))
    })
    t.same(after.map(key => key.revokedReason), ['seen', 'seen'])
    t.same((await store.read()).map(key => key.revokedReason), ['seen', 'seen'])
  })

  await t.test('a ring returned as it came changes nothing', async t => {
    const { store } = await makeStore(t)
    await store.update(() => freshRing())
    t.same(await store.update(ring => ring), freshRing())
    t.same(await store.read(), freshRing())
  })

  await t.test('a change that throws changes nothing, and stands in nobody\'s way', async t => {
    const { store } = await makeStore(t)
    await store.update(() => freshRing())
    await t.rejects(store.update(() => { throw new Error('no') }), { message: 'no' })
    t.same(await store.read(), freshRing())
    await store.update(ring => ring.map(key => ({ ...key, revokedReason: 'later' })))
    t.match(await store.read(), [{ revokedReason: 'later' }, { revokedReason: 'later' }])
  })

  await t.test('changes at once, from several sides, are applied one after the other', async t => {
    const { store, again } = await makeStore(t)
    const other = await again()
    await store.update(() => [revokedKey()])
    await Promise.all(Array.from({ length: 10 }, async (_, number) => {
      await (number % 2 ? store : other).update(ring => ring.map(key => ({ ...key, issuers: [...key.issuers, String(number)] })))
    }))
    t.equal((await store.read())[0]?.issuers.length, 11)
  })

  await t.test('writes down what a change says of itself, once it is seen from both sides', async t => {
    const { store, trail } = await makeStore(t)
    const published = (before: readonly SigningKey[], after: readonly SigningKey[]): AuditDraft[] =>
      after.filter(key => !before.some(({ kid }) => kid === key.kid)).map(key => ({ ...SYSTEM, action: 'key.published', target: key.kid, detail: { before: before.length } }))
    await store.update(() => freshRing(), published)
    await store.update(ring => [...ring.map(key => ({ ...key, revokedReason: 'seen' })), { ...keyIn(freshRing(), 'k1'), kid: 'k3' }], published)
    t.match(await trail(), [['k1', 0], ['k2', 0], ['k3', 2]].map(([target, before]) => ({ ...SYSTEM, action: 'key.published', target, detail: { before } })))
    t.equal((await trail()).length, 3)
  })

  await t.test('writes nothing down of what changes nothing', async t => {
    const { store, trail } = await makeStore(t)
    const event = (): AuditDraft[] => [{ ...SYSTEM, action: 'key.rotated', target: null }]
    await store.update(() => freshRing())
    await store.update(ring => ring, event)
    await t.rejects(store.update(() => { throw new Error('no') }, event), { message: 'no' })
    t.same(await trail(), [])
  })

  await t.test('changes nothing that cannot be written down', async t => {
    const { store } = await makeStore(t)
    await store.update(() => freshRing())
    await t.rejects(store.update(ring => ring.map(key => ({ ...key, revokedReason: 'no' })), () => { throw new Error('no words') }), { message: 'no words' })
    t.same(await store.read(), freshRing())
  })
}
