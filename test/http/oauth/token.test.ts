/** `POST /oauth/token` (contract 5): a bot's credentials for a bot's token, and every way in which that is refused. */
import t, { type Test } from 'tap'
import { newSecret } from '../../../src/bots/secret.ts'
import { StoreUnavailable } from '../../../src/store/database.ts'
import { ask, verifyInBody, type Answer } from '../../fakes/pool-answers.ts'
import { openToken } from '../../fakes/pool-forge.ts'
import { startService, TEST_EVENT, type Service } from '../../fakes/service.ts'

const FORM = 'application/x-www-form-urlencoded'

interface Client { clientId: string, clientSecret: string }
type Parameters = Array<[string, string]>

const basic = ({ clientId, clientSecret }: Client): string => `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`

async function post ({ app }: Service, parameters: Parameters | string, headers: Record<string, string> = {}): Promise<Answer> {
  const payload = typeof parameters === 'string' ? parameters : new URLSearchParams(parameters).toString()
  return await ask(app, { method: 'POST', url: '/oauth/token', headers: { 'content-type': FORM, ...headers }, payload })
}

const grant: Parameters = [['grant_type', 'client_credentials']]

async function fetchToken (service: Service, client: Client, more: Parameters = []): Promise<Answer> {
  return await post(service, [...grant, ...more], { authorization: basic(client) })
}

interface TokenBody { access_token: string, token_type: string, expires_in: number, scope?: string }
const tokenIn = ({ text }: Answer): TokenBody => JSON.parse(text) as TokenBody
const errorIn = ({ text }: Answer): { error: string, error_description: string } => JSON.parse(text) as { error: string, error_description: string }

function refused (t: Test, answer: Answer, error: string, status: number, message: string): void {
  t.equal(errorIn(answer).error, error, message)
  t.equal(answer.status, status, `${message}: status`)
  t.match(errorIn(answer).error_description, /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/, `${message}: a description of printable ASCII`)
  t.strictSame(Object.keys(JSON.parse(answer.text) as object).sort(), ['error', 'error_description'], `${message}: RFC 6749's members and no other`)
  t.equal(answer.headers['cache-control'], 'no-store', `${message}: not cached`)
  t.match(answer.headers['content-type'], /^application\/json/, `${message}: JSON`)
  if (error === 'invalid_client') t.match(answer.challenge, /^Basic realm="[^"]+"/, `${message}: challenge`)
  else t.equal(answer.challenge, null, `${message}: no challenge`)
}

await t.test('a token, by basic and by post', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot', { scopes: ['metadata:write', 'metadata:read'], roles: ['IngestionBotRole'] })
  const byBasic = await fetchToken(service, client)
  const byPost = await post(service, [...grant, ['client_id', client.clientId], ['client_secret', client.clientSecret]])
  for (const answer of [byBasic, byPost]) {
    t.equal(answer.status, 200)
    t.equal(answer.headers['cache-control'], 'no-store')
    t.match(answer.headers['content-type'], /^application\/json/)
    t.strictSame({ ...tokenIn(answer), access_token: '' }, { access_token: '', token_type: 'Bearer', expires_in: 3600, scope: 'metadata:write metadata:read' })
  }

  const { header, payload } = openToken(tokenIn(byBasic).access_token)
  const seconds = Date.parse('2026-11-22T10:00:00.000Z') / 1000
  t.strictSame(header, { alg: 'RS256', typ: 'at+jwt', kid: service.parts.ring.signing()?.kid })
  t.match(payload.jti, /^[\w-]{22}$/)
  t.not(payload.jti, openToken(tokenIn(byPost).access_token).payload.jti)
  t.strictSame(payload, {
    iss: 'http://localhost:8590',
    sub: 'ingestion-bot',
    aud: 'metadata-api',
    client_id: 'ingestion-bot',
    iat: seconds,
    exp: seconds + 3600,
    jti: payload.jti,
    scope: 'metadata:write metadata:read',
    roles: ['IngestionBotRole'],
    email: 'ingestion-bot@open-metadata.org',
    preferred_username: 'ingestion-bot',
    isBot: true,
    tokenType: 'BOT'
  }, 'exactly the claims of contract 4')
})

await t.test('what a bot and the settings change in a token', async t => {
  const service = await startService(t, { MINTMARK_TOKEN_TTL: '15m', MINTMARK_MAX_TOKEN_TTL: '2h', MINTMARK_TOKEN_TYP: 'JWT', AUTHORIZER_PRINCIPAL_DOMAIN: 'Example.com', MINTMARK_AUDIENCE: '[one, two]' })
  const plain = await fetchToken(service, await service.bot('plain'))
  t.strictSame({ ...tokenIn(plain), access_token: '' }, { access_token: '', token_type: 'Bearer', expires_in: 900 }, 'no scope where there is none')
  const { header, payload } = openToken(tokenIn(plain).access_token)
  t.equal(header.typ, 'JWT')
  t.notOk('scope' in payload)
  t.strictSame(payload.roles, [])
  t.equal(payload.email, 'plain@example.com')
  t.strictSame(payload.aud, ['one', 'two'])
  t.equal((await verifyInBody(service.app, tokenIn(plain).access_token)).status, 200)

  const other = await fetchToken(service, await service.bot('other', { email: 'boss@corp.example', tokenTtlSeconds: 7200 }))
  t.equal(tokenIn(other).expires_in, 7200)
  t.equal(openToken(tokenIn(other).access_token).payload.email, 'boss@corp.example')
  const long = await fetchToken(service, await service.bot('long', { tokenTtlSeconds: 86_400 }))
  t.equal(tokenIn(long).expires_in, 7200, 'a ceiling that came down later holds')
})

await t.test('wrong clients', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot')
  const other = await service.bot('other-bot')
  const disabled = await service.bot('disabled-bot', { enabled: false })
  const expiring = newSecret('ingestion-bot', { now: service.clock(), expiresInSeconds: 60 })
  await service.parts.secrets.add(expiring.stored, () => {}, TEST_EVENT)
  const withExpiring = { clientId: 'ingestion-bot', clientSecret: expiring.secret }
  t.equal((await fetchToken(service, withExpiring)).status, 200, 'several secrets live side by side')
  t.equal((await fetchToken(service, client)).status, 200)
  service.advance(60)

  const wrong: Array<[string, Answer]> = [
    ['an unknown client', await fetchToken(service, { ...client, clientId: 'nobody' })],
    ['a wrong secret', await fetchToken(service, { ...client, clientSecret: 'mmk_wrong' })],
    ['another bot\'s secret', await fetchToken(service, { ...client, clientSecret: other.clientSecret })],
    ['an expired secret', await fetchToken(service, withExpiring)],
    ['a disabled bot', await fetchToken(service, disabled)],
    ['a secret with something after it', await fetchToken(service, { ...client, clientSecret: `${client.clientSecret}x` })],
    ['an unknown client, by post', await post(service, [...grant, ['client_id', 'nobody'], ['client_secret', client.clientSecret]])],
    ['a client that is no text', await fetchToken(service, { ...client, clientId: '\u0000' })],
    ['a client by the name of a column', await fetchToken(service, { ...client, clientId: '\' or 1=1 --' })]
  ]
  for (const [name, answer] of wrong) {
    refused(t, answer, 'invalid_client', 401, name)
    t.equal(answer.text, wrong[0]?.[1].text, `${name} looks like the others`)
  }

  for (const [name, headers, more] of [
    ['none at all', {}, []],
    ['a secret without an id', {}, [['client_secret', client.clientSecret]]],
    ['an id without a secret', {}, [['client_id', client.clientId]]],
    ['an empty secret', {}, [['client_id', client.clientId], ['client_secret', '']]],
    ['another scheme', { authorization: 'Bearer x' }, []],
    ['basic without colon', { authorization: `Basic ${Buffer.from('ingestion-bot').toString('base64')}` }, []],
    ['basic with nothing', { authorization: 'Basic' }, []],
    ['basic with no base64', { authorization: 'Basic !!' }, []],
    ['basic that does not decode', { authorization: `Basic ${Buffer.from('%zz:%').toString('base64')}` }, []]
  ] as Array<[string, Record<string, string>, Parameters]>) {
    refused(t, await post(service, [...grant, ...more], headers), 'invalid_client', 401, name)
  }
})

await t.test('basic credentials are form-urlencoded first', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot')
  const encoded = { clientId: 'ingestion%2Dbot', clientSecret: client.clientSecret.replaceAll('_', '%5F') }
  t.equal((await fetchToken(service, encoded)).status, 200)
  t.equal((await post(service, grant, { authorization: basic(client).replace('Basic', 'basic') })).status, 200, 'the scheme\'s letter case does not matter')
  t.equal((await fetchToken(service, client, [['client_id', client.clientId]])).status, 200, 'client_id may stand in the body too')
})

await t.test('invalid_request', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot', { scopes: ['a'] })
  const authorization = basic(client)
  const post400 = async (name: string, parameters: Parameters | string, headers: Record<string, string> = { authorization }): Promise<void> => {
    refused(t, await post(service, parameters, headers), 'invalid_request', 400, name)
  }
  await post400('two ways at once', [...grant, ['client_id', client.clientId], ['client_secret', client.clientSecret]])
  await post400('two ways at once, without client_id', [...grant, ['client_secret', client.clientSecret]])
  await post400('another client_id than the header\'s', [...grant, ['client_id', 'other']])
  await post400('no grant type', [['scope', 'a']])
  await post400('an empty grant type', [['grant_type', '']])
  await post400('nothing', '')
  await post400('grant_type twice', [...grant, ...grant])
  await post400('scope twice', [...grant, ['scope', 'a'], ['scope', 'a']])
  await post400('client_id twice', [...grant, ['client_id', client.clientId], ['client_id', client.clientId]])
  await post400('client_secret twice', [...grant, ['client_id', client.clientId], ['client_secret', client.clientSecret], ['client_secret', 'x']], {})
  await post400('an unknown parameter twice', [...grant, ['x"\\é\n', '1'], ['x"\\é\n', '2']])
  await post400('JSON', '{"grant_type":"client_credentials"}', { authorization, 'content-type': 'application/json' })
  await post400('text', 'grant_type=client_credentials', { authorization, 'content-type': 'text/plain' })
  await post400('a multipart form', '--x--', { authorization, 'content-type': 'multipart/form-data; boundary=x' })
  await post400('much too much', `grant_type=client_credentials&x=${'x'.repeat(70_000)}`)
  const typeless = await ask(service.app, { method: 'POST', url: '/oauth/token', headers: { authorization } })
  refused(t, typeless, 'invalid_request', 400, 'no body')
  t.equal((await post(service, grant, { authorization, 'content-type': `${FORM}; charset=UTF-8` })).status, 200, 'a charset is well')
  t.equal((await post(service, [...grant, ['unknown', '1'], ['__proto__', '2'], ['scope', '']], { authorization })).status, 200, 'unknown parameters are ignored, empty ones count as omitted')
})

await t.test('other grants', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot')
  for (const type of ['password', 'authorization_code', 'refresh_token', 'Client_Credentials', '__proto__']) {
    refused(t, await post(service, [['grant_type', type]], { authorization: basic(client) }), 'unsupported_grant_type', 400, type)
  }
})

await t.test('scope narrows', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot', { scopes: ['one', 'two', 'three'] })
  const granted = async (scope: string): Promise<string | undefined> => {
    const { access_token: token, scope: said } = tokenIn(await fetchToken(service, client, [['scope', scope]]))
    t.equal(openToken(token).payload.scope, said, 'the token says the same')
    return said
  }
  t.equal(await granted('two'), 'two')
  t.equal(await granted('three one'), 'one three')
  t.equal(await granted('two  two '), 'two')
  t.equal(await granted(''), 'one two three')
  for (const scope of ['four', 'one four', 'ONE', 'one,two', 'admin', 'one"\n']) {
    refused(t, await fetchToken(service, client, [['scope', scope]]), 'invalid_scope', 400, `scope ${JSON.stringify(scope)}`)
  }
  refused(t, await fetchToken(service, await service.bot('bare'), [['scope', 'one']]), 'invalid_scope', 400, 'a bot without scopes')
})

await t.test('audience and resource narrow, in the bot\'s order', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot', { audiences: ['metadata-api', 'https://other.example', 'third'] })
  const granted = async (...asked: Parameters): Promise<unknown> => openToken(tokenIn(await fetchToken(service, client, asked)).access_token).payload.aud
  t.strictSame(await granted(), ['metadata-api', 'https://other.example', 'third'])
  t.strictSame(await granted(['audience', 'third']), 'third', 'one is no list')
  t.strictSame(await granted(['audience', 'third'], ['audience', 'metadata-api']), ['metadata-api', 'third'])
  t.strictSame(await granted(['resource', 'https://other.example']), 'https://other.example')
  t.strictSame(await granted(['audience', 'third'], ['resource', 'https://other.example']), ['https://other.example', 'third'])
  t.strictSame(await granted(['audience', 'third'], ['audience', 'third']), 'third')
  t.strictSame(await granted(['audience', '']), ['metadata-api', 'https://other.example', 'third'])
  for (const asked of [[['audience', 'elsewhere']], [['resource', 'elsewhere']], [['audience', 'third'], ['audience', 'elsewhere']], [['audience', 'third metadata-api']]] as Parameters[]) {
    refused(t, await fetchToken(service, client, asked), 'invalid_target', 400, JSON.stringify(asked))
  }
})

await t.test('no key can sign, the database is away', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot')
  const { ring } = service.parts
  const { signing } = ring
  service.parts.rotator.settle = async () => { /* another process holds the database */ }
  ring.signing = () => undefined
  refused(t, await fetchToken(service, client), 'temporarily_unavailable', 503, 'no key')
  ring.signing = signing
  t.equal((await fetchToken(service, client)).status, 200)

  service.parts.botCache.secretsOf = async () => { throw new StoreUnavailable(new Error('disk I/O error in /var/lib/mintmark.db')) }
  const answer = await fetchToken(service, client)
  refused(t, answer, 'temporarily_unavailable', 503, 'no database')
  t.notMatch(answer.text, /mintmark\.db/, 'nothing from inside')
})
