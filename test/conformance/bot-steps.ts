import type { Test } from 'tap'
import type { BotStep } from '../../src/bots/bot-plan.ts'
import type { AuditDraft } from '../../src/telemetry/audit.ts'
import { act, GIVEN, isRefused, plainBot, plainSecret, refuse, type MakeStores } from './stores.ts'

const CUTOFF = { notBefore: 1_000, until: 2_000 }
const eventsOf = ({ is, bot }: BotStep): AuditDraft[] => [act(is, bot.name)]

/** What every `BotSteps` promises. */
export async function botStepsConformance (t: Test, makeStores: MakeStores): Promise<void> {
  await t.test('all steps at once, in the trail, and told to others', async t => {
    const { bots, botSteps, secrets, revocations, audit, version } = await makeStores(t)
    const [kept, changed, gone] = [plainBot('kept'), plainBot('changed', { cognitoClientIds: ['one'] }), plainBot('gone', { cognitoClientIds: ['two'] })]
    for (const bot of [kept, changed, gone]) await bots.create(bot, plainSecret(bot.name), GIVEN)
    const before = await version()

    const after = { ...changed, roles: ['A'], cognitoClientIds: ['two'] }
    const made = plainBot('made', { cognitoClientIds: ['one'] })
    await botSteps.carryOut(present => {
      t.strictSame(present, [changed, gone, kept], 'it sees what there is')
      return [{ is: 'creation', bot: made }, { is: 'change', before: changed, bot: after, fields: ['roles'] }, { is: 'deletion', bot: gone }]
    }, CUTOFF, eventsOf)

    t.strictSame(await bots.list({ limit: 10 }), [after, kept, made])
    t.equal((await bots.findByCognitoClient('one'))?.name, 'made', 'a machine client may change hands')
    t.equal((await bots.findByCognitoClient('two'))?.name, 'changed')
    t.equal((await secrets.list('changed')).length, 1, 'secrets stay')
    t.equal((await secrets.list('gone')).length, 0, 'and go with their bot')
    t.match(await revocations.changedSince(before), { bots: [{ name: 'gone', notBefore: 1_000, until: 2_000 }] })
    t.strictSame((await audit.list({ limit: 3 })).map(({ action, target }) => [action, target]), [['deletion', 'gone'], ['change', 'changed'], ['creation', 'made']])
    t.equal(await version(), before + 1)
  })

  await t.test('or none', async t => {
    const stores = await makeStores(t)
    const { botSteps } = stores
    await stores.bots.create(plainBot('kept', { cognitoClientIds: ['one'] }), null, GIVEN)
    await isRefused(t, stores, async () => { await botSteps.carryOut(refuse, CUTOFF, eventsOf) })
    const clash: BotStep[] = [{ is: 'creation', bot: plainBot('made') }, { is: 'creation', bot: plainBot('taker', { cognitoClientIds: ['one'] }) }]
    const before = await stores.version()
    await t.rejects(botSteps.carryOut(() => clash, CUTOFF, eventsOf))
    t.equal((await stores.bots.list({ limit: 10 })).length, 1)
    t.equal(await stores.version(), before)
    await botSteps.carryOut(() => [], CUTOFF, eventsOf)
    t.equal(await stores.version(), before, 'nothing to do is nothing new')
  })
}
