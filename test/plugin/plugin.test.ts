/** A metadata API that registers the plugin (contract 6.7), beside a service and a pool that are reached by HTTP. */
import Fastify from 'fastify'
import mintmark, { type MintmarkOptions } from 'mintmark'
import t from 'tap'
import { me, optionsFor, startApi, startTown } from '../fakes/metadata-api.ts'
import { ask, faultsOfRefusal, verifyInHeader } from '../fakes/pool-answers.ts'
import { encodePart, forge, openToken, realSigner, without } from '../fakes/pool-forge.ts'
import { USER_SUB } from '../fakes/pool.ts'
import { TEST_EVENT } from '../fakes/service.ts'

await t.test('bots and users, the same as at the service', async t => {
  const town = await startTown(t)
  const { service, pool } = town
  await service.app.listen({ port: town.port, host: '127.0.0.1' })
  const api = await startApi(t, optionsFor(town))
  const bot = await service.token(await service.bot('ingestion-bot', { scopes: ['metadata:write'], roles: ['IngestionBotRole'] }))
  const tokens = [bot, await pool.idToken({ 'cognito:groups': ['analysts'] }), await pool.accessToken()]
  for (const token of tokens) {
    const answer = await me(api, token)
    t.equal(answer.status, 200)
    t.strictSame(JSON.parse(answer.text), (await verifyInHeader(service.app, token)).body.principal, 'one principal at every door')
  }
  t.match(JSON.parse((await me(api, bot)).text), { kind: 'bot', name: 'ingestion-bot', scopes: ['metadata:write'] })
  t.match(JSON.parse((await me(api, tokens[1] ?? '')).text), { kind: 'user', name: 'alice', subject: USER_SUB })
  t.equal((await ask(api, { url: '/open' })).status, 200, 'a route without authenticate is open')
})

await t.test('whoever changes a principal changes his own', async t => {
  const town = await startTown(t)
  const { service, pool } = town
  await service.app.listen({ port: town.port, host: '127.0.0.1' })
  const api = await startApi(t, optionsFor(town))
  for (const token of [await service.token(await service.bot('ingestion-bot', { roles: ['R'], scopes: ['s'] })), await pool.idToken({ 'cognito:groups': ['analysts'] })]) {
    const untouched = (await verifyInHeader(service.app, token)).body.principal
    for (let time = 0; time < 4; time++) {
      const principal = await api.verifyToken(token)
      t.strictSame(principal, untouched, `time ${time}`)
      for (const list of [principal.roles, principal.scopes, principal.audience, principal.groups]) list.push('admin')
      Object.assign(principal, { admin: true, name: 'admin' })
      Object.assign(principal.claims, { scope: 'admin', aud: ['other'], sub: 'admin-bot', exp: 9e9 })
      for (const claim of Object.values(principal.claims)) if (Array.isArray(claim)) claim.push('admin')
      t.strictSame(JSON.parse((await me(api, token)).text), untouched, 'nor by the hook')
    }
  }
})

await t.test('refusals: the same codes and challenges as at the service', async t => {
  const town = await startTown(t)
  const { service, pool } = town
  await service.app.listen({ port: town.port, host: '127.0.0.1' })
  const api = await startApi(t, optionsFor(town))
  const bot = await service.token(await service.bot('ingestion-bot'))
  const { header, payload, parts: [headerPart, payloadPart, signature] } = openToken(bot)
  const sign = realSigner(service)
  const claims = async (changes: object): Promise<string> => await forge(header, { ...payload, ...changes }, sign)
  const seconds = Math.floor(Date.now() / 1000)

  const tokens: Record<string, string | null> = {
    'none at all': null,
    nonsense: 'nonsense',
    'too large': 'x'.repeat(9000),
    'alg none': `${encodePart({ ...header, alg: 'none' })}.${payloadPart}.${signature}`,
    'another issuer': await claims({ iss: 'https://evil.example' }),
    'another kid': await forge({ ...header, kid: 'unheard-of' }, payload, sign),
    'a bad signature': `${headerPart}.${encodePart({ ...payload, sub: 'other' })}.${signature}`,
    'another typ': await forge({ ...header, typ: 'revocations+jwt' }, payload, sign),
    expired: await claims({ exp: seconds - 10 }),
    'not yet valid': await claims({ iat: seconds + 60 }),
    'another audience': await claims({ aud: 'elsewhere' }),
    'no jti': await forge(header, without(payload, 'jti'), sign),
    'no bot': await claims({ isBot: false }),
    'the pool\'s issuer with our key': await claims({ iss: pool.issuer }),
    'another client of the pool': await pool.idToken({ aud: 'other' }),
    'a machine of the pool': await pool.accessToken({ username: undefined, sub: pool.clientId }),
    'an expired user': await pool.idToken({ exp: seconds - 10 })
  }
  for (const [name, token] of Object.entries(tokens)) {
    const here = await me(api, token)
    const there = await ask(service.app, { method: 'POST', url: '/verify', headers: token === null ? {} : { authorization: `Bearer ${token}` } })
    t.ok(here.code !== null && here.code === there.code, `${name}: ${here.code ?? 'none'} here, ${there.code ?? 'none'} there`)
    t.equal(here.status, there.status, `${name}: status`)
    t.equal(here.challenge, there.challenge, `${name}: challenge`)
    const { requestId: _, ...document } = here.body
    t.strictSame(document, (({ requestId: _, ...rest }) => rest)(there.body), `${name}: the document`)
    t.match(here.headers['content-type'], /^application\/problem\+json/)
  }
  t.equal((await ask(api, { url: '/me', headers: { authorization: 'Bearer a b' } })).code, 'request_invalid')
})

await t.test('it starts when the issuer is down, and heals', async t => {
  const town = await startTown(t)
  const { service, pool } = town
  const api = await startApi(t, optionsFor(town))
  const bot = await service.token(await service.bot('ingestion-bot'))
  const user = await pool.idToken()
  const away = await me(api, bot)
  t.equal(away.code, 'keys_unavailable')
  t.equal(away.status, 503)
  t.equal(away.challenge, null)
  t.equal((await me(api, user)).status, 200, 'the pool is another issuer')
  t.equal((await me(api, null)).code, 'token_missing')

  await service.app.listen({ port: town.port, host: '127.0.0.1' })
  const deadline = Date.now() + 5000
  let answer = away
  while (answer.status !== 200 && Date.now() < deadline) {
    await new Promise(resolve => { setTimeout(resolve, 100) })
    answer = await me(api, bot)
  }
  t.equal(answer.status, 200)

  await service.parts.rotator.rotate({ kind: 'forced' }, TEST_EVENT)
  t.equal((await me(api, await service.token(await service.bot('other-bot')))).status, 200, 'it held the pending key already')
  await service.parts.rotator.rotate({ kind: 'forced' }, TEST_EVENT)
  t.equal((await me(api, await service.token(await service.bot('third-bot')))).status, 200, 'and asks for one that it does not know')

  await service.app.close()
  t.equal((await me(api, bot)).status, 200, 'it keeps working on what it holds')
  pool.goDown()
  t.equal((await me(api, user)).status, 200)
})

await t.test('what it leaves to the service', async t => {
  const town = await startTown(t)
  const { service, pool } = town
  await service.app.listen({ port: town.port, host: '127.0.0.1' })
  const api = await startApi(t, optionsFor(town))
  await service.bot('alice')
  const user = await pool.idToken()
  t.strictSame(faultsOfRefusal(await verifyInHeader(service.app, user), 'name_collision'), [])
  t.equal((await me(api, user)).status, 200, 'it has no registry of bots')
})

await t.test('options', async t => {
  const town = await startTown(t)
  const { service, pool, issuer } = town
  await service.app.listen({ port: town.port, host: '127.0.0.1' })
  const bot = await service.token(await service.bot('ingestion-bot', { audiences: ['one', 'two'] }))
  const admin = await service.adminToken()
  const verdict = async (options: Partial<MintmarkOptions>, token: string): Promise<unknown> => {
    const answer = await me(await startApi(t, optionsFor(town, options)), token)
    return answer.code ?? answer.status
  }
  t.equal(await verdict({}, bot), 'audience_mismatch')
  t.equal(await verdict({ audience: 'two' }, bot), 200)
  t.equal(await verdict({ audience: ['three', 'two'] }, bot), 200)
  t.equal(await verdict({ audience: null }, bot), 200, 'null skips')
  t.equal(await verdict({ issuer: `${issuer}/`, audience: null }, bot), 200, 'a slash at the end of the issuer')
  t.equal(await verdict({ jwksUri: `${issuer}/api/v1/system/config/jwks`, audience: null }, bot), 200)

  const user = await pool.idToken({ aud: 'other' })
  const client = (clientId: string | string[] | null): Partial<MintmarkOptions> => ({ cognito: { issuer: pool.issuer, clientId } })
  t.equal(await verdict({}, user), 'client_mismatch')
  t.equal(await verdict(client(['x', 'other']), user), 200)
  t.equal(await verdict(client(null), user), 200, 'null skips')
  t.equal(await verdict({ cognito: [] }, user), 'issuer_unknown')
  t.equal(await verdict({ cognito: [{ userPoolId: 'us-west-1_DL8xfTzj8', clientId: 'x' }, { issuer: pool.issuer, clientId: 'other' }] }, user), 200, 'a list')
  t.equal(await verdict({ cognito: { issuer: pool.issuer, clientId: 'other', tokenUse: ['access'] } }, user), 'token_use_mismatch')
  t.equal(await verdict({ enforcePrincipalDomain: true, cognito: { issuer: pool.issuer, clientId: null } }, user), 'domain_not_allowed')
  t.equal(await verdict({ enforcePrincipalDomain: true, principalDomain: 'example.com', cognito: { issuer: pool.issuer, clientId: null } }, user), 200)
  t.equal(await verdict({ enforcePrincipalDomain: true, principalDomain: 'Example.com', cognito: { issuer: pool.issuer, clientId: null } }, user), 200, 'letter case of a domain does not matter')

  const principal = async (options: Partial<MintmarkOptions>, token: string): Promise<unknown> => JSON.parse((await me(await startApi(t, optionsFor(town, options)), token)).text)
  const stewards: Partial<MintmarkOptions> = { cognito: { issuer: pool.issuer, clientId: pool.clientId, groupRoles: { stewards: ['DataSteward', 'DataConsumer'], analysts: ['DataConsumer'] } } }
  t.match(await principal(stewards, await pool.idToken({ 'cognito:groups': ['analysts', 'stewards', 'constructor'] })), { roles: ['DataConsumer', 'DataSteward'], groups: ['analysts', 'stewards', 'constructor'] })
  t.match(await principal(stewards, await pool.idToken()), { roles: [] })
  const machine = await pool.accessToken({ username: undefined, sub: 'machine', client_id: 'machine' })
  t.match(await principal({ machines: { machine: { name: 'etl-bot', roles: ['Etl'], scopes: ['metadata:write'] } }, adminGroups: ['x'] }, machine), { kind: 'bot', name: 'etl-bot', email: 'etl-bot@open-metadata.org', roles: ['Etl'], scopes: ['metadata:write'], admin: false, clientId: 'machine', subject: 'machine' })
  t.match(await principal({ revocationsUri: `${issuer}/.well-known/token-revocations`, audience: null, machines: undefined as never }, bot), { name: 'ingestion-bot' }, 'what is undefined is left out')

  const isAdmin = async (options: Partial<MintmarkOptions>, token: string): Promise<boolean> => (JSON.parse((await me(await startApi(t, optionsFor(town, options)), token)).text) as { admin: boolean }).admin
  const alice = await pool.idToken({ 'cognito:groups': ['platform'] })
  t.equal(await isAdmin({}, alice), false)
  t.equal(await isAdmin({ adminGroups: ['platform'] }, alice), true)
  t.equal(await isAdmin({ adminPrincipals: ['ALICE@example.com'] }, alice), true)
  t.equal(await isAdmin({ adminPrincipals: ['alice'] }, alice), false, 'of another domain')
  t.equal(await isAdmin({ adminPrincipals: ['alice'], principalDomain: 'example.com' }, alice), true)
  t.equal(await isAdmin({}, admin), true)
})

await t.test('forgetting something does not start', async t => {
  const good = { issuer: 'https://tokens.example.com', audience: 'metadata-api' }
  const cognito = { userPoolId: 'us-west-1_DL8xfTzj8', clientId: 'x' }
  const faulty: Array<[string, object, RegExp]> = [
    ['audience', { issuer: good.issuer }, /audience/],
    ['an audience that is one', { ...good, audience: '' }, /audience/],
    ['a list of audiences with one', { ...good, audience: [] }, /audience/],
    ['clientId', { ...good, cognito: { userPoolId: cognito.userPoolId } }, /clientId/],
    ['clientId of a second pool', { ...good, cognito: [cognito, { userPoolId: cognito.userPoolId }] }, /clientId/],
    ['a list of clients with one', { ...good, cognito: { ...cognito, clientId: [] } }, /clientId/],
    ['the pool', { ...good, cognito: { clientId: 'x' } }, /userPoolId/],
    ['to choose', { ...good, cognito: { ...cognito, issuer: 'https://x.example' } }, /userPoolId/],
    ['the form of a pool id', { ...good, cognito: { ...cognito, userPoolId: 'evil.example/us-west-1_x' } }, /user pool id/],
    ['the issuer', { audience: 'x' }, /issuer/],
    ['https', { ...good, issuer: 'http://tokens.example.com' }, /https/],
    ['https of the feed', { ...good, revocationsUri: 'http://tokens.example.com/feed' }, /revocationsUri/],
    ['how often', { ...good, revocationsRefreshSeconds: 0 }, /revocationsRefreshSeconds.*1 to 60/],
    ['what a second is', { ...good, revocationsRefreshSeconds: '3s' }, /revocationsRefreshSeconds/],
    ['that a pool is named once', { ...good, cognito: [cognito, { ...cognito, clientId: 'y' }] }, /stands twice/],
    ['that both forms name one pool', { ...good, cognito: [cognito, { issuer: 'https://issuer-cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8', clientId: 'y' }] }, /stands twice/],
    ['that the issuer is no pool', { ...good, cognito: { issuer: `${good.issuer}/`, clientId: 'y' } }, /stands twice/],
    ['a machine\'s name', { ...good, machines: { x: { roles: ['R'] } } }, /machine x/],
    ['that roles are a list', { ...good, machines: { x: { name: 'etl-bot', roles: 'R' } } }, /machine x/],
    ['that a group has a list of roles', { ...good, cognito: { ...cognito, groupRoles: { stewards: 'DataSteward' } } }, /groupRoles of stewards/],
    ['that admin groups are a list: a name would make whoever is in a group of a part of it an admin', { ...good, adminGroups: 'admins' }, /adminGroups/],
    ['that admin principals are a list', { ...good, adminPrincipals: 'ada' }, /adminPrincipals/],
    ['that token kinds are a list', { ...good, cognito: { ...cognito, tokenUse: 'id' } }, /tokenUse/],
    ['which token kinds there are', { ...good, cognito: { ...cognito, tokenUse: ['acces'] } }, /tokenUse/],
    ['that principal claims are a list', { ...good, cognito: { ...cognito, principalClaims: 'email' } }, /principalClaims/],
    ['the domain', { ...good, principalDomain: '' }, /principalDomain/],
    ['that a flag is no text', { ...good, allowHttp: 'false' }, /allowHttp/],
    ['that another is none either', { ...good, enforcePrincipalDomain: 'false' }, /enforcePrincipalDomain/],
    ['https of the JWKS', { ...good, jwksUri: 'http://tokens.example.com/jwks' }, /jwksUri/],
    ['https of a pool', { ...good, cognito: { issuer: 'http://pool.example.com', clientId: 'x' } }, /cognito\.issuer/],
    ['everything', {}, /mintmark/]
  ]
  for (const [name, options, message] of faulty) {
    const api = Fastify()
    await t.rejects(async () => { await api.register(mintmark, options as MintmarkOptions) }, { name: 'TypeError', message }, name)
  }
  const api = Fastify()
  await api.register(mintmark, { ...good, issuer: 'http://mintmark:8590', allowHttp: true, cognito })
  t.ok(api.hasDecorator('authenticate'))
  await api.close()
})

await t.test('closing ends what it has begun', async t => {
  const town = await startTown(t)
  const { app } = town.service
  await app.listen({ port: town.port, host: '127.0.0.1' })
  const connections = async (): Promise<number> => await new Promise((resolve, reject) => { app.server.getConnections((error, count) => { if (error) reject(error); else resolve(count) }) })
  const api = await startApi(t, optionsFor(town))
  t.equal((await me(api, await town.service.token(await town.service.bot('ingestion-bot')))).status, 200)
  t.ok(await connections() > 0)
  await api.close()
  while (await connections() > 0) await new Promise(resolve => { setImmediate(resolve) })
  t.pass('its connections, too')
})
