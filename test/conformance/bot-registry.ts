import type { Test } from 'tap'
import type { Bot } from '../../src/bots/bot.ts'
import { at, START } from '../fakes/memory-rings.ts'
import { act, allow, GIVEN, isRefused, leavesNoTrace, plainBot, plainSecret, refuse, unasked, type MakeStores, type Stores } from './stores.ts'

const rich: Bot = {
  name: 'ingestion-bot',
  displayName: 'Ingestion "nightly" ünïcode',
  email: 'bot@example.com',
  roles: ['IngestionBotRole', 'Другое'],
  scopes: ['metadata:write', 'metadata:read'],
  audiences: ['metadata-api', 'lineage-api'],
  tokenTtlSeconds: 900,
  cognitoClientIds: ['client-2', 'client-1'],
  pipelines: ['nightly', 'a "b" ç'],
  jwks: [{ kty: 'OKP', crv: 'Ed25519', x: 'O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik', kid: 'first' }],
  trust: [{ issuer: 'https://ci.example.com', audience: 'mintmark', subject: 'repo:org/*', claims: { ref: 'main' }, pipelineClaim: 'job', runClaim: 'run' }],
  enabled: false,
  createdAt: new Date(START.getTime() + 1),
  updatedAt: new Date(START.getTime() + 2)
}
const CUTOFF = { notBefore: 1_795_000_000, until: 1_795_090_000 }

/** What every `BotReader & BotWriter` promises. */
export async function botRegistryConformance (t: Test, makeStores: MakeStores): Promise<void> {
  await t.test('knows nobody at first', async t => {
    const { bots } = await makeStores(t)
    t.equal(await bots.find('ingestion-bot'), null)
    t.equal(await bots.findByCognitoClient('client-1'), null)
    t.same(await bots.list({ limit: 50 }), [])
  })

  for (const bot of [rich, plainBot('plain-bot')]) {
    await t.test(`keeps every field of ${bot.name}, to the millisecond`, async t => {
      const { bots } = await makeStores(t)
      t.equal(await bots.create(bot, null, GIVEN), 'created')
      t.strictSame(await bots.find(bot.name), bot)
      t.strictSame(await bots.list({ limit: 1 }), [bot])
    })
  }

  await t.test('makes a bot and its first secret together', async t => {
    const { bots, secrets } = await makeStores(t)
    const stored = plainSecret('ingestion-bot')
    t.equal(await bots.create(rich, stored, GIVEN), 'created')
    t.strictSame(await secrets.list('ingestion-bot'), [stored])
  })

  await t.test('refuses a name that is taken, and changes nothing', async t => {
    const stores = await makeStores(t)
    await stores.bots.create(rich, null, GIVEN)
    const again = plainBot(rich.name, { cognitoClientIds: ['client-9'] })
    t.equal(await leavesNoTrace(t, stores, async () => await stores.bots.create(again, plainSecret(rich.name), act('bot.created'))), 'name taken')
    t.strictSame(await stores.bots.find(rich.name), rich)
    t.equal(await stores.bots.findByCognitoClient('client-9'), null)
  })

  await t.test('of two that ask for one name at once, gives it to one', async t => {
    const { bots, audit } = await makeStores(t)
    t.same((await Promise.all([bots.create(rich, null, GIVEN), bots.create(rich, null, GIVEN)])).sort(), ['created', 'name taken'])
    t.equal((await audit.list({ limit: 9 })).length, 1)
  })

  await t.test('lists by name, a page at a time', async t => {
    const { bots } = await makeStores(t)
    for (const name of ['c', 'a', 'b-2', 'b', 'b.1', 'b_3']) await bots.create(plainBot(name), null, GIVEN)
    const names = async (limit: number, after?: string): Promise<string[]> => (await bots.list({ limit, after })).map(bot => bot.name)
    const all = await names(50)
    t.same(all, ['a', 'b', 'b-2', 'b.1', 'b_3', 'c'])
    t.same(await names(2), all.slice(0, 2))
    t.same(await names(2, all[1]), all.slice(2, 4))
    t.same(await names(50, 'c'), [])
    t.same(await names(50, 'b-1'), all.slice(2), 'after a name that is not there')
  })

  await t.test('update', async t => { await updates(t, makeStores) })
  await t.test('a machine client', async t => { await machineClients(t, makeStores) })
  await t.test('remove', async t => { await removals(t, makeStores) })
}

async function updates (t: Test, makeStores: MakeStores): Promise<void> {
  await t.test('applies a change to the latest state, and answers with what came of it', async t => {
    const { bots } = await makeStores(t)
    await bots.create(rich, null, GIVEN)
    const after: Bot = { ...rich, enabled: true, email: null, tokenTtlSeconds: null, trust: [], jwks: [], pipelines: [], updatedAt: at(60) }
    t.strictSame(await bots.update(rich.name, bot => {
      t.strictSame(bot, rich)
      return after
    }, GIVEN), { done: after })
    t.strictSame(await bots.find(rich.name), after)
  })

  await t.test('changes no other bot', async t => {
    const { bots } = await makeStores(t)
    for (const bot of [rich, plainBot('other-bot')]) await bots.create(bot, null, GIVEN)
    await bots.update('other-bot', bot => ({ ...bot, enabled: false }), GIVEN)
    t.strictSame(await bots.find(rich.name), rich)
  })

  await t.test('loses no change of several at once', async t => {
    const { bots } = await makeStores(t)
    await bots.create(plainBot('busy-bot'), null, GIVEN)
    const roles = Array.from({ length: 10 }, (_, number) => `role-${number}`)
    await Promise.all(roles.map(async role => await bots.update('busy-bot', bot => ({ ...bot, roles: [...bot.roles, role] }), GIVEN)))
    t.same((await bots.find('busy-bot'))?.roles.toSorted(), roles)
  })

  await t.test('changes nothing if the change throws, and the next one goes on', async t => {
    const stores = await makeStores(t)
    await stores.bots.create(rich, null, GIVEN)
    await isRefused(t, stores, async () => await stores.bots.update(rich.name, refuse, act('bot.updated')))
    t.match(await stores.bots.update(rich.name, bot => ({ ...bot, enabled: true }), GIVEN), { done: { enabled: true } })
  })

  await t.test('changes nobody of an unknown name', async t => {
    const stores = await makeStores(t)
    await stores.bots.create(rich, null, GIVEN)
    t.strictSame(await leavesNoTrace(t, stores, async () => await stores.bots.update('nobody', unasked, act('bot.updated'))), { failed: 'no such bot' })
  })
}

async function machineClients (t: Test, makeStores: MakeStores): Promise<void> {
  async function withTwoBots (t: Test): Promise<Stores> {
    const stores = await makeStores(t)
    await stores.bots.create(rich, null, GIVEN)
    await stores.bots.create(plainBot('other-bot', { cognitoClientIds: ['client-3'] }), null, GIVEN)
    return stores
  }

  await t.test('finds the bot that it stands for, by its exact id', async t => {
    const { bots } = await withTwoBots(t)
    for (const clientId of rich.cognitoClientIds) t.strictSame(await bots.findByCognitoClient(clientId), rich)
    t.equal((await bots.findByCognitoClient('client-3'))?.name, 'other-bot')
    for (const clientId of ['client', 'client-33', 'CLIENT-1', 'client-_', '', rich.name]) t.equal(await bots.findByCognitoClient(clientId), null, `"${clientId}"`)
  })

  await t.test('that stands for another bot is refused to a new one, which is then not made', async t => {
    const stores = await withTwoBots(t)
    const third = plainBot('third-bot', { cognitoClientIds: ['client-4', 'client-1'] })
    t.equal(await leavesNoTrace(t, stores, async () => await stores.bots.create(third, plainSecret('third-bot'), act('bot.created'))), 'client id taken')
    t.equal(await stores.bots.find('third-bot'), null)
    t.same(await stores.secrets.list('third-bot'), [])
    t.equal(await stores.bots.findByCognitoClient('client-4'), null)
  })

  await t.test('that stands for another bot is refused to a known one, which then stays as it is', async t => {
    const stores = await withTwoBots(t)
    const take = async (): Promise<unknown> => await stores.bots.update('other-bot', bot => ({ ...bot, enabled: false, cognitoClientIds: ['client-4', 'client-1'] }), act('bot.updated'))
    t.strictSame(await leavesNoTrace(t, stores, take), { failed: 'client id taken' })
    t.equal((await stores.bots.findByCognitoClient('client-3'))?.name, 'other-bot')
    t.equal(await stores.bots.findByCognitoClient('client-4'), null)
  })

  await t.test('of two bots that ask for it at once, stands for one', async t => {
    const { bots } = await makeStores(t)
    const created = await Promise.all(['a-bot', 'b-bot'].map(async name => await bots.create(plainBot(name, { cognitoClientIds: ['client-1'] }), null, GIVEN)))
    t.same(created.sort(), ['client id taken', 'created'])
    t.equal((await bots.list({ limit: 9 })).length, 1)
  })

  await t.test('stays with its bot when that changes, may be given up, and is then free', async t => {
    const { bots } = await withTwoBots(t)
    t.match(await bots.update(rich.name, bot => ({ ...bot, cognitoClientIds: ['client-2', 'client-4'] }), GIVEN), { done: { name: rich.name } })
    t.equal(await bots.findByCognitoClient('client-1'), null)
    for (const clientId of ['client-2', 'client-4']) t.equal((await bots.findByCognitoClient(clientId))?.name, rich.name)
    t.match(await bots.update('other-bot', bot => ({ ...bot, cognitoClientIds: [...bot.cognitoClientIds, 'client-1'] }), GIVEN), { done: { name: 'other-bot' } })
    t.equal((await bots.findByCognitoClient('client-1'))?.name, 'other-bot')
  })
}

async function removals (t: Test, makeStores: MakeStores): Promise<void> {
  async function withTwoBots (t: Test): Promise<Stores> {
    const stores = await makeStores(t)
    await stores.bots.create(rich, plainSecret(rich.name), GIVEN)
    await stores.bots.create(plainBot('other-bot', { cognitoClientIds: ['client-3'] }), plainSecret('other-bot'), GIVEN)
    return stores
  }

  await t.test('ends the bot with its secrets and its machine clients', async t => {
    const { bots, secrets, revocations } = await withTwoBots(t)
    await secrets.add(plainSecret(rich.name), allow, GIVEN)
    t.equal(await bots.remove(rich.name, bot => { t.strictSame(bot, rich, 'the check sees it as it is') }, CUTOFF, GIVEN), true)
    t.equal(await bots.find(rich.name), null)
    t.same((await bots.list({ limit: 9 })).map(bot => bot.name), ['other-bot'])
    t.same(await secrets.list(rich.name), [])
    t.equal(await bots.findByCognitoClient('client-1'), null)
    t.equal((await revocations.changedSince(0)).disabled.size, 0)
    t.equal(await bots.create(plainBot('third-bot', { cognitoClientIds: rich.cognitoClientIds }), null, GIVEN), 'created', 'and its clients are free')
  })

  await t.test('leaves other bots what is theirs', async t => {
    const { bots, secrets } = await withTwoBots(t)
    await bots.remove(rich.name, allow, CUTOFF, GIVEN)
    t.equal((await secrets.list('other-bot')).length, 1)
    t.equal((await bots.findByCognitoClient('client-3'))?.name, 'other-bot')
  })

  await t.test('ends the tokens of the bot by the cutoff, also if one of its name is made again', async t => {
    const { bots, secrets, revocations, version } = await withTwoBots(t)
    const known = await version()
    await bots.remove(rich.name, allow, CUTOFF, GIVEN)
    await bots.create(plainBot(rich.name), null, GIVEN)
    t.strictSame((await revocations.changedSince(known)).bots, [{ name: rich.name, ...CUTOFF }])
    t.same(await secrets.list(rich.name), [], 'and the new one has none of the old one\'s secrets')
    t.equal(await bots.findByCognitoClient('client-1'), null)
  })

  await t.test('changes nothing if the check throws', async t => {
    const stores = await withTwoBots(t)
    await isRefused(t, stores, async () => await stores.bots.remove(rich.name, refuse, CUTOFF, act('bot.removed')))
  })

  await t.test('of nobody changes nothing, and asks nothing', async t => {
    const stores = await withTwoBots(t)
    t.equal(await leavesNoTrace(t, stores, async () => await stores.bots.remove('nobody', unasked, CUTOFF, act('bot.removed'))), false)
  })
}
