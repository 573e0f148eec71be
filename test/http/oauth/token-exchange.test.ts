/** Token exchange (contract 5 and 7, RFC 8693) against issuers that are really asked: whose token becomes which bot's. */
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { askAs } from '../../fakes/asking.ts'
import { movableClock } from '../../fakes/clock.ts'
import { AUDIENCE, EXCHANGE, TYPE, exchange, refused, serviceTrusting } from '../../fakes/exchanging.ts'
import { startOidcProvider, startPlatform } from '../../fakes/platforms.ts'
import { openToken } from '../../fakes/pool-forge.ts'
import { startService } from '../../fakes/service.ts'

await t.test('a token of a real OpenID provider for a bot\'s token', async t => {
  const provider = await startOidcProvider(t, ['workload-a', 'workload-b'])
  // The provider goes by the machine's clock.
  const service = await startService(t, { MINTMARK_TRUSTED_ISSUERS: `[${provider.issuer}]` }, movableClock(new Date()))
  await service.bot('ingestion-bot', { scopes: ['metadata:write'], trust: [{ issuer: provider.issuer, audience: AUDIENCE, subject: 'workload-a', claims: { client_id: 'workload-a' } }] })
  const answer = await exchange(service, await provider.token('workload-a', AUDIENCE), { subject_token_type: `${TYPE}access_token` })
  t.match({ status: answer.statusCode, ...answer.json<object>() }, { status: 200, token_type: 'Bearer', expires_in: 3600, scope: 'metadata:write', issued_token_type: `${TYPE}access_token` })
  const token = answer.json<{ access_token: string }>().access_token
  t.match((await service.app.inject({ method: 'POST', url: '/verify', payload: { token } })).json<object>(), { active: true, principal: { kind: 'bot', name: 'ingestion-bot', tokenUse: 'access' } })
  refused(t, await exchange(service, await provider.token('workload-b', AUDIENCE)), 'invalid_grant', /meets no trust rule: subject workload-b/, 'another workload')
  refused(t, await exchange(service, await provider.token('workload-a', 'https://elsewhere.example')), 'invalid_grant', /audience https:\/\/elsewhere/, 'a token for somebody else')
})

await t.test('what is asked for narrows the token, and the bot\'s life holds', async t => {
  const setting = await serviceTrusting(t, await startPlatform(t), {}, { tokenTtlSeconds: 1_800 })
  const token = await setting.sign({ exp: setting.clock().getTime() / 1000 + 60 })
  const answer = await exchange(setting, token, { scope: 'metadata:read', audience: 'lineage-api', requested_token_type: `${TYPE}jwt`, mintmark_pipeline: 'glue', mintmark_run: 'run-1' })
  t.match(answer.json<object>(), { expires_in: 1_800, scope: 'metadata:read' })
  t.match(openToken(answer.json<{ access_token: string }>().access_token).payload, { sub: 'ingestion-bot', aud: 'lineage-api', scope: 'metadata:read', pipeline: 'glue', run_id: 'run-1' })
  t.equal((await exchange(setting, token)).statusCode, 200, 'a workload\'s token is no assertion: platforms hand out the same one for a while')
  refused(t, await exchange(setting, token, { scope: 'admin' }), 'invalid_scope', /admin/, 'a scope that the bot does not have')
  refused(t, await exchange(setting, token, { resource: 'elsewhere' }), 'invalid_target', /elsewhere/, 'an audience that it does not have')
  t.match((await setting.app.inject('/metrics')).body, /mintmark_tokens_issued_total\{grant="token_exchange"\} 2/)
})

await t.test('with each algorithm, and each type of token', async t => {
  for (const alg of ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']) {
    const setting = await serviceTrusting(t, await startPlatform(t, '', alg))
    t.equal((await exchange(setting, await setting.sign())).statusCode, 200, alg)
    t.equal((await exchange(setting, await setting.sign({}, { kid: undefined, typ: 'JWT' }))).statusCode, 200, `${alg}, without kid`)
    for (const type of ['jwt', 'id_token', 'access_token']) t.equal((await exchange(setting, await setting.sign(), { subject_token_type: `${TYPE}${type}` })).statusCode, 200, type)
    t.equal(setting.platform.asked.length, 2, 'the issuer is asked once for both documents')
  }
})

await t.test('several bots', async t => {
  const platform = await startPlatform(t)
  const setting = await serviceTrusting(t, platform, { subject: 'repo:org/*' })
  await setting.bot('second-bot', { trust: [{ ...setting.rule, subject: 'repo:org/two' }] })
  await setting.bot('disabled-bot', { enabled: false, trust: [{ ...setting.rule, subject: 'repo:org/*' }] })
  const botOf = (answer: LightMyRequestResponse): unknown => openToken(answer.json<{ access_token: string }>().access_token).payload.sub
  const one = await setting.sign({ sub: 'repo:org/one' })
  const two = await setting.sign({ sub: 'repo:org/two' })
  t.equal(botOf(await exchange(setting, one)), 'ingestion-bot', 'one that matches, and one that does and is switched off')
  refused(t, await exchange(setting, two), 'invalid_request', /client_id/, 'two that match')
  for (const bot of ['ingestion-bot', 'second-bot']) t.equal(botOf(await exchange(setting, two, { client_id: bot })), bot, 'client_id picks one')
  for (const bot of ['disabled-bot', 'nobody', 'INGESTION-BOT']) refused(t, await exchange(setting, two, { client_id: bot }), 'invalid_grant', /meets no trust rule/, bot)
  refused(t, await exchange(setting, one, { client_id: 'second-bot' }), 'invalid_grant', /meets no trust rule/, 'not one that does not match')
})

await t.test('a change of the rules is in force at once', async t => {
  const setting = await serviceTrusting(t, await startPlatform(t))
  const asAdmin = askAs(setting.app, await setting.adminToken())
  const token = await setting.sign()
  const set = async (rules: unknown): Promise<number> => (await asAdmin('PUT', '/admin/bots/ingestion-bot/trust', rules)).statusCode
  t.equal((await exchange(setting, token)).statusCode, 200)
  t.equal(await set([{ ...setting.rule, claims: { protected: true } }]), 200)
  refused(t, await exchange(setting, token), 'invalid_grant', /no trust rule/, 'a stricter rule')
  t.equal(await set([setting.rule]), 200)
  t.equal((await asAdmin('PATCH', '/admin/bots/ingestion-bot', { enabled: false })).statusCode, 200)
  refused(t, await exchange(setting, token), 'invalid_grant', /no trust rule/, 'a bot that is switched off')
  t.equal((await asAdmin('PATCH', '/admin/bots/ingestion-bot', { enabled: true, scopes: ['metadata:read'] })).statusCode, 200)
  t.equal((await exchange(setting, token)).json<{ scope: string }>().scope, 'metadata:read', 'and what it may do')
  t.equal((await asAdmin('DELETE', '/admin/bots/ingestion-bot')).statusCode, 204)
  refused(t, await exchange(setting, token), 'invalid_grant', /no trust rule/, 'a bot that is gone')
})

await t.test('pipeline and run, as the platform vouches for them', async t => {
  const setting = await serviceTrusting(t, await startPlatform(t), { pipelineClaim: '/ci/workflow', runClaim: 'run_id' }, { pipelines: ['daily'] })
  const said = { ci: { workflow: 'daily' }, run_id: 17 }
  const answer = await exchange(setting, await setting.sign(said))
  t.match(openToken(answer.json<{ access_token: string }>().access_token).payload, { pipeline: 'daily', run_id: '17' })
  t.equal((await exchange(setting, await setting.sign(said), { mintmark_pipeline: 'daily', mintmark_run: '17' })).statusCode, 200, 'a request may say the same')
  refused(t, await exchange(setting, await setting.sign(said), { mintmark_pipeline: 'weekly' }), 'invalid_request', /mintmark_pipeline is not what.*ci\/workflow/, 'but nothing else')
  refused(t, await exchange(setting, await setting.sign(said), { mintmark_run: '18' }), 'invalid_request', /mintmark_run/, 'nor of the run')
  refused(t, await exchange(setting, await setting.sign({ ...said, ci: { workflow: 'weekly' } })), 'invalid_request', /its own pipelines only/, 'a pipeline that is not the bot\'s')
  refused(t, await exchange(setting, await setting.sign({ ci: said.ci })), 'invalid_grant', /no trust rule/, 'a token without the claim')
  refused(t, await exchange(setting, await setting.sign({ ...said, run_id: '' })), 'invalid_grant', /no trust rule/, 'or with nothing in it')
  refused(t, await exchange(setting, await setting.sign({ ...said, run_id: 'two\nlines' })), 'invalid_request', /mintmark_run takes/, 'or with what is no name')
})

await t.test('in the second of revoke-tokens, the token comes when it is over', async t => {
  const setting = await serviceTrusting(t, await startPlatform(t))
  const asAdmin = askAs(setting.app, await setting.adminToken())
  await asAdmin('POST', '/admin/bots/ingestion-bot/revoke-tokens', {})
  t.equal((await exchange(setting, await setting.sign())).statusCode, 200)
})

await t.test('tokens are exchanged while the database is away, and refused past the staleness that is allowed', async t => {
  const setting = await serviceTrusting(t, await startPlatform(t), {}, {}, { MINTMARK_MAX_STALENESS: '5m' })
  const away = async (): Promise<never> => { throw new Error('not to be asked') }
  Object.assign(setting.parts.bots, { find: away, list: away })
  Object.assign(setting.parts.botCache, { find: away, secretsOf: away })
  t.equal((await exchange(setting, await setting.sign())).statusCode, 200)
  setting.advance(301)
  refused(t, await exchange(setting, await setting.sign()), 'temporarily_unavailable', /./, 'stale')
})

await t.test('the metadata document names the grant', async t => {
  const { app } = await startService(t)
  t.same((await app.inject('/.well-known/oauth-authorization-server')).json<{ grant_types_supported: string[] }>().grant_types_supported, ['client_credentials', EXCHANGE])
})
