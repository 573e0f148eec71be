import type { Test } from 'tap'
import { GRACE_SECONDS, type RevocationChanges } from '../../src/tokens/revocations.ts'
import { HOUR, START } from '../fakes/memory-rings.ts'
import { act, allow, GIVEN, isRefused, leavesNoTrace, plainBot, refuse, unasked, type MakeStores, type Stores } from './stores.ts'

const NOW = START.getTime() / 1000
const CUTOFF = { notBefore: NOW + 1, until: NOW + HOUR }
const RUN = { bot: 'one', run: '2026-11-22T10:00 é', until: NOW + HOUR }

/** What is new to who knows `version`, in objects of our own: a driver's rows may have no prototype. */
async function newsSince ({ revocations }: Stores, version: number): Promise<RevocationChanges> {
  const { disabled, tokens, bots, runs } = await revocations.changedSince(version)
  return { disabled, tokens: tokens.map(token => ({ ...token })), bots: bots.map(bot => ({ ...bot })), runs: runs.map(run => ({ ...run })) }
}

/** What every `TokenRegistry` and the `RevocationStore` beside it promise. */
export async function tokenRegistryConformance (t: Test, makeStores: MakeStores): Promise<void> {
  async function withBots (t: Test): Promise<Stores> {
    const stores = await makeStores(t)
    for (const name of ['one', 'two']) await stores.bots.create(plainBot(name), null, GIVEN)
    return stores
  }

  await t.test('knows of nothing at first', async t => {
    t.strictSame(await newsSince(await makeStores(t), 0), { disabled: new Set(), tokens: [], bots: [], runs: [] })
  })

  await t.test('tells who asks what is new to them, and no more', async t => {
    const stores = await withBots(t)
    const { tokens, version } = stores
    const versions = [await version()]
    const steps = [
      async () => { await tokens.revokeToken('first', NOW + 10, GIVEN) },
      async () => await tokens.revokeTokensOf('one', allow, CUTOFF, GIVEN),
      async () => { await tokens.revokeToken('second', NOW + 20, GIVEN) },
      async () => await tokens.revokeTokensOf('two', allow, CUTOFF, GIVEN),
      async () => await tokens.revokeRun(RUN, allow, GIVEN)
    ]
    for (const step of steps) {
      await step()
      versions.push(await version())
    }
    const news = [
      { tokens: [{ jti: 'first', exp: NOW + 10 }, { jti: 'second', exp: NOW + 20 }], bots: [{ name: 'one', ...CUTOFF }, { name: 'two', ...CUTOFF }], runs: [RUN] },
      { tokens: [{ jti: 'second', exp: NOW + 20 }], bots: [{ name: 'one', ...CUTOFF }, { name: 'two', ...CUTOFF }], runs: [RUN] },
      { tokens: [{ jti: 'second', exp: NOW + 20 }], bots: [{ name: 'two', ...CUTOFF }], runs: [RUN] },
      { tokens: [], bots: [{ name: 'two', ...CUTOFF }], runs: [RUN] },
      { tokens: [], bots: [], runs: [RUN] },
      { tokens: [], bots: [], runs: [] }
    ]
    for (const [place, known] of versions.entries()) t.strictSame(await newsSince(stores, known), { disabled: new Set(), ...news[place] })
    for (const known of [0, -1]) t.strictSame(await newsSince(stores, known), { disabled: new Set(), ...news[0] }, 'all to who knows nothing')
  })

  await t.test('says which bots are switched off: all of them, whatever is known', async t => {
    const stores = await withBots(t)
    const { bots, version } = stores
    await bots.update('one', bot => ({ ...bot, enabled: false }), GIVEN)
    await bots.create(plainBot('three', { enabled: false }), null, GIVEN)
    t.strictSame((await newsSince(stores, await version())).disabled, new Set(['one', 'three']))
    await bots.update('one', bot => ({ ...bot, enabled: true }), GIVEN)
    t.strictSame((await newsSince(stores, 0)).disabled, new Set(['three']))
  })

  await t.test('takes one token back once, however often it is told to', async t => {
    const stores = await withBots(t)
    await stores.tokens.revokeToken('first', NOW + 10, act('token.revoked'))
    await leavesNoTrace(t, stores, async () => { await stores.tokens.revokeToken('first', NOW + 20, act('token.revoked')) })
    t.equal((await stores.audit.list({ limit: 9, action: 'token.revoked' })).length, 1)
  })

  await t.test('takes one token back once, also when told several times at once', async t => {
    const stores = await withBots(t)
    const { tokens, audit } = stores
    await Promise.all(Array.from({ length: 5 }, async () => { await tokens.revokeToken('first', NOW + 10, act('token.revoked')) }))
    t.equal((await audit.list({ limit: 9, action: 'token.revoked' })).length, 1)
    t.strictSame((await newsSince(stores, 0)).tokens, [{ jti: 'first', exp: NOW + 10 }])
  })

  await t.test('shows the bot to the check, as it is', async t => {
    const { tokens, bots } = await withBots(t)
    await bots.update('one', bot => ({ ...bot, scopes: ['admin'] }), GIVEN)
    let seen: unknown
    t.equal(await tokens.revokeTokensOf('one', bot => { seen = bot }, CUTOFF, GIVEN), true)
    t.strictSame(seen, plainBot('one', { scopes: ['admin'] }))
  })

  await t.test('takes nothing back if the check throws', async t => {
    const stores = await withBots(t)
    await isRefused(t, stores, async () => await stores.tokens.revokeTokensOf('one', refuse, CUTOFF, act('bot.tokens_revoked')))
  })

  await t.test('takes nothing back of a bot that is not there, and asks nothing', async t => {
    const stores = await withBots(t)
    t.equal(await leavesNoTrace(t, stores, async () => await stores.tokens.revokeTokensOf('nobody', unasked, CUTOFF, act('bot.tokens_revoked'))), false)
  })

  await t.test('a cutoff only ever moves later, in both of its times', async t => {
    const stores = await withBots(t)
    const { tokens, bots, version } = stores
    await tokens.revokeTokensOf('one', allow, CUTOFF, GIVEN)
    const cutoffs: Array<[next: typeof CUTOFF, expected: typeof CUTOFF]> = [
      [{ notBefore: CUTOFF.notBefore - 5, until: CUTOFF.until - 5 }, CUTOFF],
      [{ notBefore: CUTOFF.notBefore + 5, until: CUTOFF.until - 5 }, { notBefore: CUTOFF.notBefore + 5, until: CUTOFF.until }],
      [{ notBefore: CUTOFF.notBefore, until: CUTOFF.until + 5 }, { notBefore: CUTOFF.notBefore + 5, until: CUTOFF.until + 5 }]
    ]
    for (const [next, expected] of cutoffs) {
      const known = await version()
      await tokens.revokeTokensOf('one', allow, next, GIVEN)
      t.strictSame((await newsSince(stores, known)).bots, [{ name: 'one', ...expected }])
    }
    const known = await version()
    await bots.remove('one', allow, CUTOFF, GIVEN)
    t.strictSame((await newsSince(stores, known)).bots, [{ name: 'one', notBefore: CUTOFF.notBefore + 5, until: CUTOFF.until + 5 }], 'nor does the removal of its bot bring it back')
  })

  await t.test('takes back what a bot gets for a run, and of no other bot', async t => {
    const stores = await withBots(t)
    const { tokens } = stores
    const others = [{ ...RUN, bot: 'two' }, { ...RUN, run: 'another' }]
    for (const run of [RUN, ...others]) t.equal(await tokens.revokeRun(run, allow, act('bot.tokens_revoked')), true)
    t.same(new Set((await newsSince(stores, 0)).runs), new Set([RUN, ...others]))
    t.equal((await stores.audit.list({ limit: 9, action: 'bot.tokens_revoked' })).length, 3)
  })

  await t.test('a run stays revoked until the later of two ends', async t => {
    const stores = await withBots(t)
    for (const [until, expected] of [[10, 10], [5, 10], [20, 20]] as const) {
      const known = await stores.version()
      await stores.tokens.revokeRun({ ...RUN, until: NOW + until }, allow, GIVEN)
      t.same((await newsSince(stores, known)).runs, [{ ...RUN, until: NOW + expected }])
    }
  })

  await t.test('takes no run back if the check throws, nor of a bot that is not there', async t => {
    const stores = await withBots(t)
    await isRefused(t, stores, async () => await stores.tokens.revokeRun(RUN, refuse, act('bot.tokens_revoked')))
    t.equal(await leavesNoTrace(t, stores, async () => await stores.tokens.revokeRun({ ...RUN, bot: 'nobody' }, unasked, act('bot.tokens_revoked'))), false)
  })

  await t.test('forgets what is over, after a grace, at the next revocation', async t => {
    const stores = await withBots(t)
    const { tokens, advance } = stores
    const exp = NOW + 10
    await tokens.revokeToken('over', exp, GIVEN)
    await tokens.revokeTokensOf('one', allow, { notBefore: NOW + 1, until: exp }, GIVEN)
    await tokens.revokeTokensOf('two', allow, { notBefore: NOW + 1, until: exp + 2 }, GIVEN)
    await tokens.revokeRun({ ...RUN, run: 'run over', until: exp }, allow, GIVEN)
    await tokens.revokeRun({ ...RUN, run: 'run alive', until: exp + 2 }, allow, GIVEN)
    const held = async (): Promise<string[]> => {
      const { tokens, bots, runs } = await newsSince(stores, 0)
      return [...tokens.map(token => token.jti), ...bots.map(bot => bot.name), ...runs.map(({ run }) => run).sort()]
    }
    advance(10 + GRACE_SECONDS)
    await tokens.revokeToken('alive', exp + 2 * GRACE_SECONDS, GIVEN)
    t.same(await held(), ['over', 'alive', 'one', 'two', 'run alive', 'run over'], 'not a second before')
    advance(1)
    t.same(await held(), ['over', 'alive', 'one', 'two', 'run alive', 'run over'])
    await tokens.revokeToken('another', exp + 2 * GRACE_SECONDS, GIVEN)
    t.same(await held(), ['alive', 'another', 'two', 'run alive'])
  })
}
