import type { Test } from 'tap'
import type { StoredSecret } from '../../src/bots/bot.ts'
import { newSecret } from '../../src/bots/secret.ts'
import { at, START } from '../fakes/memory-rings.ts'
import { act, allow, GIVEN, isRefused, leavesNoTrace, plainBot, plainSecret, refuse, unasked, type MakeStores, type Stores } from './stores.ts'

/** What every `SecretRegistry & SecretUses` promises. */
export async function secretRegistryConformance (t: Test, makeStores: MakeStores): Promise<void> {
  /** Two bots, and as many secrets of the first: the newest first. */
  async function withSecrets (t: Test, count: number): Promise<Stores & { made: StoredSecret[] }> {
    const stores = await makeStores(t)
    for (const name of ['one', 'two']) await stores.bots.create(plainBot(name), null, GIVEN)
    const made = Array.from({ length: count }, (_, number) => plainSecret('one', at(count - number)))
    for (const secret of made) await stores.secrets.add(secret, allow, GIVEN)
    return { ...stores, made }
  }
  const expiring = (secret: StoredSecret): StoredSecret => ({ ...secret, expiresAt: at(60) })

  await t.test('keeps every field of a secret, to the millisecond', async t => {
    const { secrets } = await withSecrets(t, 0)
    const rich: StoredSecret = { ...newSecret('one', { now: at(0.001), expiresInSeconds: 60, description: 'CI "nightly"' }).stored, lastUsedAt: at(1.5) }
    const plain = newSecret('two', { now: START }).stored
    for (const secret of [rich, plain]) t.equal(await secrets.add(secret, allow, GIVEN), true)
    t.strictSame(await secrets.list('one'), [rich])
    t.strictSame(await secrets.list('two'), [plain])
  })

  await t.test('lists a bot\'s own, the newest first', async t => {
    const { secrets } = await withSecrets(t, 0)
    const made = [2, 3, 1].map(second => plainSecret('one', at(second)))
    for (const secret of [...made, plainSecret('two')]) await secrets.add(secret, allow, GIVEN)
    t.same((await secrets.list('one')).map(secret => secret.createdAt), [at(3), at(2), at(1)])
    t.same(await secrets.list('nobody'), [])
  })

  await t.test('adds none to a bot that is not there, and asks nothing', async t => {
    const stores = await withSecrets(t, 1)
    t.equal(await leavesNoTrace(t, stores, async () => await stores.secrets.add(plainSecret('nobody'), unasked, act('secret.added'))), false)
    t.same(await stores.secrets.list('nobody'), [])
  })

  await t.test('lets the others expire sooner, and none later, in the act of adding one', async t => {
    const stores = await withSecrets(t, 0)
    const { secrets, audit } = stores
    const [endless, late, early, other] = [plainSecret('one', at(4)), { ...plainSecret('one', at(3)), expiresAt: at(90) }, { ...plainSecret('one', at(2)), expiresAt: at(30) }, plainSecret('two')]
    for (const secret of [endless, late, early, other]) await secrets.add(secret, allow, GIVEN)
    const next = plainSecret('one', at(5))
    t.equal(await secrets.add(next, allow, act('secret.added'), at(60)), true)
    t.strictSame(await secrets.list('one'), [next, { ...endless, expiresAt: at(60) }, { ...late, expiresAt: at(60) }, early])
    t.strictSame(await secrets.list('two'), [other], 'those of another bot stay')
    t.equal((await audit.list({ limit: 9, action: 'secret.added' })).length, 1)
    await isRefused(t, stores, async () => await secrets.add(plainSecret('one'), refuse, act('secret.added'), at(1)))
  })

  await t.test('lists those of all bots that expire within a time, the first to do so first', async t => {
    const { secrets } = await withSecrets(t, 1)
    const [last, first, past, second, later] = [60, 20, 10, 30, 61].map((second, number) => ({ ...plainSecret(number === 1 ? 'two' : 'one', at(number)), expiresAt: at(second) }))
    for (const secret of [last, first, past, second, later]) if (secret) await secrets.add(secret, allow, GIVEN)
    t.strictSame(await secrets.listExpiring(at(10), at(60)), [first, second, last])
    t.same(await secrets.listExpiring(at(70), at(80)), [])
  })

  await t.test('lets one expire at another date, and answers with it', async t => {
    const { secrets, made: [first, second] } = await withSecrets(t, 2)
    t.ok(first && second)
    if (!first || !second) return
    t.strictSame(await secrets.update('one', second.id, secret => {
      t.strictSame(secret, second)
      return expiring(secret)
    }, allow, GIVEN), expiring(second))
    t.strictSame(await secrets.list('one'), [first, expiring(second)])
  })

  await t.test('removes one, once, and leaves the others', async t => {
    const { made: [first, second], ...stores } = await withSecrets(t, 2)
    const remove = async (): Promise<boolean> => await stores.secrets.remove('one', first?.id ?? '', allow, act('secret.removed'))
    t.equal(await remove(), true)
    t.equal(await leavesNoTrace(t, stores, remove), false)
    t.strictSame(await stores.secrets.list('one'), [second])
  })

  await t.test('touches none of another bot, and none that is not there', async t => {
    const { made, ...stores } = await withSecrets(t, 1)
    const { secrets } = stores
    for (const [bot, id] of [['two', made[0]?.id ?? ''], ['one', 'no-such-id'], ['nobody', made[0]?.id ?? '']] as const) {
      t.equal(await leavesNoTrace(t, stores, async () => await secrets.update(bot, id, unasked, allow, act('secret.updated'))), null)
      t.equal(await leavesNoTrace(t, stores, async () => await secrets.remove(bot, id, allow, act('secret.removed'))), false)
    }
    t.strictSame(await secrets.list('one'), made)
  })

  await t.test('shows its bot to the check, as it is', async t => {
    const { secrets, bots, made } = await withSecrets(t, 1)
    await bots.update('one', bot => ({ ...bot, scopes: ['admin'] }), GIVEN)
    const seen: unknown[] = []
    const look = (bot: unknown): void => { seen.push(bot) }
    await secrets.add(plainSecret('one'), look, GIVEN)
    await secrets.update('one', made[0]?.id ?? '', expiring, look, GIVEN)
    await secrets.remove('one', made[0]?.id ?? '', look, GIVEN)
    t.strictSame(seen, [1, 2, 3].map(() => plainBot('one', { scopes: ['admin'] })))
  })

  await t.test('changes nothing if the check throws, and asks nobody else', async t => {
    const { made, ...stores } = await withSecrets(t, 1)
    const { secrets } = stores
    const id = made[0]?.id ?? ''
    await isRefused(t, stores, async () => await secrets.add(plainSecret('one'), refuse, act('secret.added')))
    await isRefused(t, stores, async () => await secrets.update('one', id, unasked, refuse, act('secret.updated')))
    await isRefused(t, stores, async () => await secrets.remove('one', id, refuse, act('secret.removed')))
    await isRefused(t, stores, async () => await secrets.remove('one', 'no-such-id', refuse, act('secret.removed')))
  })

  await t.test('changes nothing if the change throws', async t => {
    const { made, ...stores } = await withSecrets(t, 1)
    await isRefused(t, stores, async () => await stores.secrets.update('one', made[0]?.id ?? '', refuse, allow, act('secret.updated')))
  })

  await t.test('writes when many were last used, at once, and leaves the rest of them', async t => {
    const { secrets, audit, made: [first, second, third] } = await withSecrets(t, 3)
    const before = await audit.list({ limit: 9 })
    await secrets.record(new Map([[first?.id ?? '', at(7.001)], [third?.id ?? '', at(8)], ['removed-meanwhile', at(9)]]))
    t.strictSame(await secrets.list('one'), [{ ...first, lastUsedAt: at(7.001) }, second, { ...third, lastUsedAt: at(8) }])
    t.strictSame(await audit.list({ limit: 9 }), before, 'the use of a secret is no change')
  })
}
