/** Tokens for one pipeline and one run of it (contract 10): who gets them, what they say, and how a run is ended. */
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { askAs, postForm } from '../fakes/asking.ts'
import { openToken } from '../fakes/pool-forge.ts'
import { startService, type Service } from '../fakes/service.ts'

interface Client { clientId: string, clientSecret: string }

async function fetchToken ({ app }: Service, client: Client, more: Record<string, string> = {}): Promise<LightMyRequestResponse> {
  return await postForm(app, '/oauth/token', { grant_type: 'client_credentials', ...more }, client)
}

const verify = async ({ app }: Service, token: string, body: object = {}): Promise<LightMyRequestResponse> => await app.inject({ method: 'POST', url: '/verify', payload: { token, ...body } })
const principalOf = async (service: Service, token: string): Promise<unknown> => (await verify(service, token)).json<{ principal: unknown }>().principal

await t.test('what was asked for is in the token, and in the principal', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot', { scopes: ['introspect'] })
  const asked: Array<[Record<string, string>, object, object]> = [
    [{}, {}, { pipeline: null, runId: null }],
    [{ mintmark_pipeline: 'glue.daily', mintmark_run: 'run-1' }, { pipeline: 'glue.daily', run_id: 'run-1' }, { pipeline: 'glue.daily', runId: 'run-1' }],
    [{ mintmark_run: 'Läufe & "Mehr"' }, { run_id: 'Läufe & "Mehr"' }, { pipeline: null, runId: 'Läufe & "Mehr"' }],
    [{ mintmark_pipeline: 'x'.repeat(256), mintmark_run: '' }, { pipeline: 'x'.repeat(256) }, { pipeline: 'x'.repeat(256), runId: null }]
  ]
  for (const [parameters, claims, expected] of asked) {
    const token = await service.token(client, parameters)
    const { pipeline, run_id: run } = openToken(token).payload
    t.strictSame({ ...(pipeline !== undefined && { pipeline }), ...(run !== undefined && { run_id: run }) }, claims)
    t.match(await principalOf(service, token), expected)
    t.match((await postForm(service.app, '/oauth/introspect', { token }, client)).json<object>(), { active: true, ...claims }, 'introspection says so')
  }
})

await t.test('names that are none', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot')
  for (const name of ['mintmark_pipeline', 'mintmark_run']) {
    for (const value of ['x'.repeat(257), 'two\nlines', '\u0000', 'a\u009Fb']) {
      const answer = await fetchToken(service, client, { [name]: value })
      t.match({ status: answer.statusCode, ...answer.json<object>() }, { status: 400, error: 'invalid_request', error_description: new RegExp(`^${name} takes`) })
    }
  }
  const twice = await service.app.inject({ method: 'POST', url: '/oauth/token', headers: { authorization: `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}`, 'content-type': 'application/x-www-form-urlencoded' }, payload: 'grant_type=client_credentials&mintmark_run=1&mintmark_run=2' })
  t.match(twice.json<object>(), { error: 'invalid_request' }, 'twice')
})

await t.test('a bot cannot have a pipeline that no token could name', async t => {
  const service = await startService(t)
  const asAdmin = askAs(service.app, await service.adminToken())
  for (const pipeline of ['', 'x'.repeat(257), 'two\nlines', '\u0000']) {
    const answer = await asAdmin('POST', '/admin/bots', { name: 'ingestion-bot', pipelines: ['one', pipeline] })
    t.match({ status: answer.statusCode, ...answer.json<object>() }, { status: 400, errors: [{ field: 'pipelines.1' }] })
  }
})

await t.test('a bot with pipelines gets tokens for those only', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot', { pipelines: ['one', 'two'] })
  t.match(openToken(await service.token(client, { mintmark_pipeline: 'two' })).payload, { pipeline: 'two' })
  for (const parameters of [{}, { mintmark_pipeline: 'three' }, { mintmark_pipeline: 'ONE' }, { mintmark_pipeline: 'one two' }, { mintmark_run: 'one' }]) {
    const answer = await fetchToken(service, client, parameters)
    t.match({ status: answer.statusCode, ...answer.json<object>() }, { status: 400, error: 'invalid_request', error_description: /^mintmark_pipeline is/ }, JSON.stringify(parameters))
  }

  const asAdmin = askAs(service.app, await service.adminToken())
  const pasted = await asAdmin('POST', '/admin/bots/ingestion-bot/tokens', { expiresIn: '1h', pipeline: 'one', run: 'by hand' })
  t.match(await principalOf(service, pasted.json<{ token: string }>().token), { pipeline: 'one', runId: 'by hand' }, 'also those that an admin makes to paste')
  for (const body of [{ expiresIn: '1h' }, { expiresIn: '1h', pipeline: 'three' }, { expiresIn: '1h', pipeline: '' }]) {
    const answer = await asAdmin('POST', '/admin/bots/ingestion-bot/tokens', body)
    t.match({ status: answer.statusCode, ...answer.json<object>() }, { status: 400, code: 'validation_failed', errors: [{ field: 'pipeline' }] }, JSON.stringify(body))
  }
  t.match((await asAdmin('GET', '/admin/audit?action=token.issued')).json<object>(), { events: [{ detail: { pipeline: 'one', run: 'by hand' } }] })
})

await t.test('one run is ended, and nothing else', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot')
  const other = await service.bot('other-bot')
  const asAdmin = askAs(service.app, await service.adminToken())
  const ofRun = await service.token(client, { mintmark_pipeline: 'glue', mintmark_run: 'run-1' })
  const ofRunToo = await service.token(client, { mintmark_run: 'run-1' })
  const others = [await service.token(client, { mintmark_run: 'run-2' }), await service.token(client), await service.token(client, { mintmark_pipeline: 'run-1' }), await service.token(other, { mintmark_run: 'run-1' })]

  const ended = await asAdmin('POST', '/admin/bots/ingestion-bot/revoke-tokens', { run: 'run-1' })
  t.match({ status: ended.statusCode, ...ended.json<object>() }, { status: 200, run: 'run-1', until: /Z$/ })
  for (const token of [ofRun, ofRunToo]) t.match({ status: (await verify(service, token)).statusCode, ...(await verify(service, token)).json<object>() }, { status: 401, code: 'token_revoked' })
  t.equal((await service.app.inject({ url: '/auth', headers: { authorization: `Bearer ${ofRun}` } })).statusCode, 401, 'at the door for proxies')
  for (const token of others) t.equal((await verify(service, token)).statusCode, 200)

  const again = await fetchToken(service, client, { mintmark_run: 'run-1' })
  t.match({ status: again.statusCode, ...again.json<object>() }, { status: 400, error: 'invalid_grant', error_description: /run.*revoked/ }, 'it gets no more')
  t.equal((await asAdmin('POST', '/admin/bots/ingestion-bot/tokens', { expiresIn: '1h', run: 'run-1' })).statusCode, 409, 'nor from an admin')
  t.equal((await fetchToken(service, client, { mintmark_run: 'run-3' })).statusCode, 200, 'the bot goes on')
  t.match((await asAdmin('GET', '/admin/audit?action=bot.tokens_revoked')).json<object>(), { events: [{ target: 'ingestion-bot', actor: { name: 'admin-bot' }, detail: { run: 'run-1' } }] })
  t.match((await service.app.inject('/metrics')).body, /mintmark_revocations_held\{what="runs"\} 1/)

  t.equal((await asAdmin('POST', '/admin/bots/nobody/revoke-tokens', { run: 'run-1' })).statusCode, 404)
  for (const run of ['', 'x'.repeat(257), 'a\u0000b', 7, null]) t.equal((await asAdmin('POST', '/admin/bots/ingestion-bot/revoke-tokens', { run })).statusCode, 400)
})

await t.test('who may not touch a bot may not end its runs', async t => {
  const service = await startService(t)
  const issuer = 'http://localhost:8590'
  const writer = askAs(service.app, await service.token(await service.bot('writer', { scopes: ['bots:write'], audiences: [issuer] })))
  await service.bot('powerful', { scopes: ['keys:write'], audiences: [issuer] })
  await service.bot('plain')
  t.equal((await writer('POST', '/admin/bots/powerful/revoke-tokens', { run: 'run-1' })).statusCode, 403)
  t.equal((await writer('POST', '/admin/bots/plain/revoke-tokens', { run: 'run-1' })).statusCode, 200)
})
