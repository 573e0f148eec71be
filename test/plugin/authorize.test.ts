/** Routes of a metadata API that demand more than a good token (contract 6.7). */
import Fastify from 'fastify'
import mintmark, { type RouteDemands } from 'mintmark'
import t from 'tap'
import { ask, faultsOfRefusal } from '../fakes/pool-answers.ts'
import type { VerifyCode } from '../../src/verify/errors.ts'
import { startApi, startTown, optionsFor } from '../fakes/metadata-api.ts'

await t.test('what a route demands', async t => {
  const town = await startTown(t)
  const { service, pool } = town
  await service.app.listen({ port: town.port, host: '127.0.0.1' })
  const tokens = {
    bot: await service.token(await service.bot('ingestion-bot', { scopes: ['metadata:write', 'metadata:read'], roles: ['Ingestion', 'Lineage'] })),
    admin: await service.token(await service.bot('admin-bot', { scopes: ['admin'], audiences: ['metadata-api', town.issuer] })),
    alice: await pool.idToken({ 'cognito:groups': ['analysts', 'platform'] }),
    carol: await pool.accessToken({ 'cognito:groups': ['stewards'], scope: 'metadata:write' })
  }
  type Who = keyof typeof tokens
  const everyone = Object.keys(tokens) as Who[]

  const rows: Array<{ demands: RouteDemands, admits: Who[], others?: VerifyCode, says?: RegExp }> = [
    { demands: {}, admits: everyone },
    { demands: { kinds: ['bot'] }, admits: ['bot', 'admin'], others: 'role_insufficient', says: /Only a bot may do this, not a user/ },
    { demands: { kinds: ['user'] }, admits: ['alice', 'carol'], others: 'role_insufficient', says: /Only a user may do this, not a bot/ },
    { demands: { kinds: ['bot', 'user'] }, admits: everyone },
    { demands: { scopes: ['metadata:write'] }, admits: ['bot', 'carol'], others: 'scope_insufficient', says: /lacks scope metadata:write/ },
    { demands: { scopes: ['metadata:write', 'metadata:read'] }, admits: ['bot'], others: 'scope_insufficient', says: /metadata:read/ },
    { demands: { roles: ['Ingestion'] }, admits: ['bot'], others: 'role_insufficient', says: /lacks role Ingestion/ },
    { demands: { roles: ['Ingestion', 'Lineage'] }, admits: ['bot'], others: 'role_insufficient', says: /lacks roles Ingestion, Lineage/ },
    { demands: { groups: ['analysts'] }, admits: ['alice'], others: 'role_insufficient', says: /lacks group analysts/ },
    { demands: { groups: ['platform', 'analysts'] }, admits: ['alice'], others: 'role_insufficient', says: /analysts/ },
    { demands: { admin: true }, admits: ['admin', 'alice'], others: 'admin_required', says: /takes an admin/ },
    { demands: { admin: false }, admits: everyone },
    { demands: { kinds: ['bot'], admin: true }, admits: ['admin'] }
  ]
  const api = await startApi(t, optionsFor(town, { adminGroups: ['platform'] }), api => {
    for (const [number, { demands }] of rows.entries()) api.get(`/row/${number}`, { onRequest: api.authorize(demands) }, async request => request.principal.name)
  })
  for (const [number, { demands, admits, others, says }] of rows.entries()) {
    for (const who of everyone) {
      const name = `${JSON.stringify(demands)}, ${who}`
      const answer = await ask(api, { url: `/row/${number}`, headers: { authorization: `Bearer ${tokens[who]}` } })
      if (admits.includes(who)) {
        t.equal(answer.status, 200, name)
      } else {
        t.equal(answer.status, 403, name)
        if (others) t.strictSame(faultsOfRefusal(answer, others), [], name)
        if (says) t.match(answer.body.detail, says, name)
      }
    }
    t.equal((await ask(api, { url: `/row/${number}` })).code, 'token_missing', `${JSON.stringify(demands)}, nobody`)
  }
})

await t.test('a slip of the pen fails where the route is defined', async t => {
  const api = Fastify()
  await api.register(mintmark, { issuer: 'https://tokens.example.com', audience: 'metadata-api' })
  t.teardown(async () => { await api.close() })
  const slips: Array<[given: unknown, message: RegExp]> = [
    [undefined, /takes an object/],
    [null, /takes an object/],
    [['metadata:write'], /takes an object/],
    ['metadata:write', /takes an object/],
    [{ scope: ['metadata:write'] }, /"scope".*scopes/],
    [{ audience: ['metadata-api'] }, /"audience"/],
    [{ toString: ['x'] }, /"toString"/],
    [{ kinds: ['robot'] }, /kinds/],
    [{ kinds: 'bot' }, /kinds/],
    [{ kinds: [] }, /kinds/],
    [{ scopes: 'metadata:write' }, /scopes/],
    [{ scopes: [] }, /leave it out/],
    [{ scopes: ['metadata:read metadata:write'] }, /without blanks/],
    [{ scopes: undefined }, /scopes/],
    [{ roles: [''] }, /roles/],
    [{ groups: [1] }, /groups/],
    [{ admin: 'yes' }, /admin/],
    [{ admin: undefined }, /admin/]
  ]
  for (const [given, message] of slips) t.throws(() => api.authorize(given as RouteDemands), { name: 'TypeError', message }, JSON.stringify(given))
})

await t.test('who changes the demands afterwards changes nothing', async t => {
  const town = await startTown(t)
  const demands = { groups: ['stewards'] }
  const api = await startApi(t, optionsFor(town), api => {
    api.get('/demanding', { onRequest: api.authorize(demands) }, async () => 'x')
  })
  demands.groups = ['analysts']
  const headers = { authorization: `Bearer ${await town.pool.idToken({ 'cognito:groups': ['analysts'] })}` }
  t.equal((await ask(api, { url: '/demanding', headers })).code, 'role_insufficient')
})
