/** Which steps lead from the bots that there are to those that are asked for. */
import t from 'tap'
import { draftBot } from '../../src/bots/bot-draft.ts'
import { clientsOfSeveral, planBots } from '../../src/bots/bot-plan.ts'

const [BEFORE, NOW] = [new Date('2026-01-01T00:00:00Z'), new Date('2026-02-01T00:00:00Z')]
const AUDIENCES = ['metadata-api']
const POLICY = { prune: false, defaultAudiences: AUDIENCES }
const known = (name: string, draft = {}): ReturnType<typeof draftBot> => draftBot(name, draft, AUDIENCES, BEFORE)

await t.test('creation, change, nothing, and what the file lacks', async t => {
  const present = [known('changed', { roles: ['A'], scopes: ['x'] }), known('gone'), known('same', { roles: ['A'] })]
  const wanted = [{ name: 'made', draft: { roles: ['B'] } }, { name: 'changed', draft: { roles: ['A', 'B'] } }, { name: 'same', draft: { roles: ['A'] } }]
  const { steps, unchanged, left, outcome } = planBots(present, wanted, POLICY, NOW)
  t.match(steps, [
    { is: 'creation', bot: { name: 'made', createdAt: NOW } },
    { is: 'change', bot: { name: 'changed', roles: ['A', 'B'], scopes: [], createdAt: BEFORE, updatedAt: NOW }, fields: ['roles', 'scopes'] }
  ], 'a field that is left out is as in a new bot')
  t.equal(steps.length, 2)
  t.strictSame([unchanged, left], [['same'], ['gone']])
  t.strictSame(outcome.map(({ name }) => name).sort(), ['changed', 'gone', 'made', 'same'])

  const pruned = planBots(present, wanted, { ...POLICY, prune: true }, NOW)
  t.match(pruned.steps.at(-1), { is: 'deletion', bot: { name: 'gone' } })
  t.strictSame(pruned.left, [])
  t.strictSame(planBots(outcome, wanted, POLICY, NOW).steps, [], 'the second time there is nothing to do')
})

await t.test('a bot that was switched off stays so, unless it is asked for', async t => {
  const present = [known('off', { enabled: false })]
  t.strictSame(planBots(present, [{ name: 'off', draft: {} }], POLICY, NOW).steps, [])
  t.match(planBots(present, [{ name: 'off', draft: { enabled: true } }], POLICY, NOW).steps, [{ is: 'change', fields: ['enabled'] }])
})

await t.test('the order of audiences counts, that of a key\'s members does not', async t => {
  const present = [known('a', { audiences: ['x', 'y'], jwks: [{ kty: 'OKP', crv: 'Ed25519' }] })]
  t.strictSame(planBots(present, [{ name: 'a', draft: { audiences: ['x', 'y'], jwks: [{ crv: 'Ed25519', kty: 'OKP' }] } }], POLICY, NOW).steps, [])
  t.match(planBots(present, [{ name: 'a', draft: { audiences: ['y', 'x'], jwks: [{ kty: 'OKP', crv: 'Ed25519' }] } }], POLICY, NOW).steps, [{ fields: ['audiences'] }])
})

await t.test('a machine client stands for one bot', async t => {
  t.strictSame(clientsOfSeveral([known('a', { cognitoClientIds: ['x', 'z'] }), known('b', { cognitoClientIds: ['x'] })]), [{ clientId: 'x', names: ['a', 'b'] }])
})
