import type { Test } from 'tap'
import type { AuditDraft, AuditEvent } from '../../src/telemetry/audit.ts'
import { at, START } from '../fakes/memory-rings.ts'
import { act, allow, GIVEN, isRefused, plainBot, plainSecret, type MakeStores, type Stores } from './stores.ts'

const SECRET = plainSecret('known')
const CUTOFF = { notBefore: 1_795_000_000, until: 1_795_090_000 }

/** Every change that is written down, on a database where bot `known` has a secret. */
const CHANGES: Array<[what: string, change: (stores: Stores, event: AuditDraft) => Promise<unknown>]> = [
  ['a bot that is made', async ({ bots }, event) => await bots.create(plainBot('new'), plainSecret('new'), event)],
  ['a bot that is changed', async ({ bots }, event) => await bots.update('known', bot => ({ ...bot, enabled: false }), event)],
  ['a bot that is removed', async ({ bots }, event) => await bots.remove('known', allow, CUTOFF, event)],
  ['a secret that is added', async ({ secrets }, event) => await secrets.add(plainSecret('known'), allow, event)],
  ['a secret that is changed', async ({ secrets }, event) => await secrets.update('known', SECRET.id, secret => ({ ...secret, expiresAt: new Date(0) }), allow, event)],
  ['a secret that is removed', async ({ secrets }, event) => await secrets.remove('known', SECRET.id, allow, event)],
  ['a token that is taken back', async ({ tokens }, event) => { await tokens.revokeToken('jti', CUTOFF.until, event) }],
  ['tokens of a bot that are taken back', async ({ tokens }, event) => await tokens.revokeTokensOf('known', allow, CUTOFF, event)],
  ['an event that stands alone', async ({ audit }, event) => { await audit.append([event]) }]
]

/** What every `AuditTrail` promises, and every change beside it. */
export async function auditTrailConformance (t: Test, makeStores: MakeStores): Promise<void> {
  await t.test('is empty at first', async t => {
    const { audit } = await makeStores(t)
    t.same(await audit.list({ limit: 50 }), [])
    await audit.append([])
    t.same(await audit.list({ limit: 50 }), [])
  })

  await t.test('keeps every field of an event, and the time', async t => {
    const { audit, advance } = await makeStores(t)
    const rich: Required<AuditDraft> = { actor: { kind: 'bot', name: 'admin-bot' }, action: 'key.revoked', target: 'kid', outcome: 'refused', detail: { reason: 'a "b" ç', roles: ['one', null], count: 2 }, requestId: 'request-1' }
    await audit.append([rich, { actor: { kind: 'system', name: 'mintmark' }, action: 'key.published', target: null }])
    const [plain, first] = await audit.list({ limit: 50 })
    t.strictSame({ ...first, at: null }, { ...rich, id: 1, at: null })
    t.strictSame({ ...plain, at: null }, { actor: { kind: 'system', name: 'mintmark' }, action: 'key.published', target: null, outcome: 'done', detail: {}, requestId: null, id: 2, at: null })
    t.same(first?.at, START, 'the time is that of the database, not of the machine')
    advance(7)
    await audit.append([act('later')])
    t.same((await audit.list({ limit: 1 }))[0]?.at, at(7))
  })

  await t.test('counts up, the newest first, a page at a time', async t => {
    const { audit } = await makeStores(t)
    await audit.append([act('a'), act('b')])
    await audit.append([act('c'), act('d'), act('e')])
    const page = async (limit: number, before?: number): Promise<Array<[number, string]>> => (await audit.list({ limit, before })).map(({ id, action }) => [id, action])
    t.strictSame(await page(50), [[5, 'e'], [4, 'd'], [3, 'c'], [2, 'b'], [1, 'a']])
    t.strictSame(await page(2), [[5, 'e'], [4, 'd']])
    t.strictSame(await page(2, 4), [[3, 'c'], [2, 'b']])
    t.strictSame(await page(2, 2), [[1, 'a']])
    t.strictSame(await page(2, 1), [])
    t.strictSame(await page(50, 99), await page(50))
  })

  await t.test('counts up without a gap or a twin, also when several write at once', async t => {
    const { audit } = await makeStores(t)
    await Promise.all(Array.from({ length: 10 }, async () => { await audit.append([act('a'), act('b')]) }))
    t.same((await audit.list({ limit: 50 })).map(({ id }) => id), Array.from({ length: 20 }, (_, number) => 20 - number))
  })

  await t.test('is searched by actor, by action, and by both, page by page', async t => {
    const { audit } = await makeStores(t)
    for (const actor of ['alice', 'bob', 'alice']) {
      await audit.append(['bot.created', 'bot.removed'].map(action => ({ ...act(action), actor: { kind: 'user', name: actor } })))
    }
    const ids = (events: readonly AuditEvent[]): number[] => events.map(({ id }) => id)
    t.same(ids(await audit.list({ limit: 50, actor: 'alice' })), [6, 5, 2, 1])
    t.same(ids(await audit.list({ limit: 50, action: 'bot.removed' })), [6, 4, 2])
    t.same(ids(await audit.list({ limit: 50, actor: 'alice', action: 'bot.created' })), [5, 1])
    t.same(ids(await audit.list({ limit: 2, actor: 'alice', before: 6 })), [5, 2])
    t.same(ids(await audit.list({ limit: 50, actor: 'bob', action: 'bot.created', before: 3 })), [])
    for (const nobody of ['ali', 'ALICE', 'alice%', '']) t.same(await audit.list({ limit: 50, actor: nobody }), [], `"${nobody}"`)
    t.same(await audit.list({ limit: 50, action: 'bot' }), [])
  })

  await t.test('holds, in the transaction of the change itself:', async t => {
    async function withKnownBot (t: Test): Promise<Stores> {
      const stores = await makeStores(t)
      await stores.bots.create(plainBot('known'), SECRET, GIVEN)
      return stores
    }

    for (const [what, change] of CHANGES) {
      await t.test(what, async t => {
        const stores = await withKnownBot(t)
        const event: AuditDraft = { ...act('changed', 'known'), detail: { what }, requestId: 'request-1' }
        await change(stores, event)
        t.match(await stores.audit.list({ limit: 9 }), [{ ...event, id: 2, outcome: 'done' }, { id: 1 }])
      })

      await t.test(`${what}: not without its event`, async t => {
        const stores = await withKnownBot(t)
        const toJSON = (): never => { throw new Error('cannot be written') }
        await isRefused(t, stores, async () => await change(stores, { ...act('changed', 'known'), detail: { toJSON } }), 'cannot be written')
        t.equal(await stores.bots.find('new'), null)
        t.same(await stores.secrets.list('new'), [])
      })
    }
  })
}
