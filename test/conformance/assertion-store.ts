import type { Test } from 'tap'
import type { AssertionStore } from '../../src/bots/assertion-log.ts'

/** Opens a new, empty store, as two replicas see it. */
export type MakeAssertionStore = (t: Test) => Promise<[AssertionStore, AssertionStore]>

/** What every `AssertionStore` promises. */
export async function assertionStoreConformance (t: Test, makeStore: MakeAssertionStore): Promise<void> {
  await t.test('an assertion is used once, whichever replica it is shown to', async t => {
    const [here, there] = await makeStore(t)
    t.equal(await here.use('a-bot', 'first', 100), true)
    t.equal(await here.use('a-bot', 'first', 100), false)
    t.equal(await there.use('a-bot', 'first', 200), false)
    t.equal(await there.use('a-bot', 'second', 100), true)
  })

  await t.test('once, also if it is shown to all of them at the same time', async t => {
    const replicas = await makeStore(t)
    const answers = await Promise.all(Array.from({ length: 12 }, async (_, number) => await replicas[number % 2 as 0 | 1].use('a-bot', 'first', 100)))
    t.equal(answers.filter(Boolean).length, 1)
  })

  await t.test('what one bot has used, another has not', async t => {
    const [store] = await makeStore(t)
    for (const [bot, jti] of [['a', 'b'], ['a-b', ''], ['', 'a-b'], ['a', 'B']] as const) t.equal(await store.use(bot, jti, 100), true, `${bot} ${jti}`)
  })

  await t.test('takes any text', async t => {
    const [store] = await makeStore(t)
    for (const jti of ['\u0000', 'é', 'e\u0301', '\ud800', ' ', '\' or 1=1 --', 'x'.repeat(10_000)]) {
      t.equal(await store.use('a-bot', jti, 100), true)
      t.equal(await store.use('a-bot', jti, 100), false)
    }
  })

  await t.test('forgets what is over, and nothing else', async t => {
    const [store] = await makeStore(t)
    for (const until of [99, 100, 101]) await store.use('a-bot', `until ${until}`, until)
    await store.forget(100)
    t.same(await Promise.all([99, 100, 101].map(async until => await store.use('a-bot', `until ${until}`, until))), [true, false, false])
  })
}
