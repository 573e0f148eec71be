/** examples/metadata-api as programs meet it: bots, people with a token, admins. */
import type { InjectOptions } from 'fastify'
import t from 'tap'
import { signIn } from '../../../examples/demo/cognito.ts'
import { createBot } from '../../../examples/demo/service.ts'
import { openStage } from '../../../examples/demo/stage.ts'
import { fetchToken, PEOPLE } from '../../../examples/metadata-api/try/town.ts'
import { startExampleTown } from '../../fakes/example-api.ts'
import { ask, faultsOfRefusal, type Answer } from '../../fakes/pool-answers.ts'
import { visitorOf } from '../../fakes/visitor.ts'

t.setTimeout(120_000)

const QUIET = { asked () { /* nobody listens */ }, got () { /* nobody listens */ } }

await t.test('who may do what by the API', async t => {
  const town = await startExampleTown(t)
  const { app } = await town.startApi()
  const stage = await openStage()
  t.teardown(stage.close)
  const clientId = town.env.AUTHENTICATION_CLIENT_ID ?? ''
  const writer = await fetchToken(town.service, town.bot)
  const reader = await fetchToken(town.service, await createBot(QUIET, stage, town.service, 'reading-bot', []))
  const { idToken: ada } = await signIn(town.cognito, clientId, PEOPLE.ada)
  const { idToken: barbara } = await signIn(town.cognito, clientId, PEOPLE.barbara)
  const call = async (method: NonNullable<InjectOptions['method']>, path: string, token?: string, payload?: object | null): Promise<Answer> => await ask(app, {
    method,
    url: `/api/v1${path}`,
    headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...(payload === null && { 'content-type': 'application/json' }) },
    ...(payload !== undefined && { payload: payload ?? 'null' })
  })
  const orders = { description: 'From the shop.' }

  await t.test('nobody without a token, and a cookie is none', async t => {
    for (const [method, path] of [['GET', '/tables'], ['GET', '/tables/orders'], ['PUT', '/tables/orders'], ['DELETE', '/tables/orders'], ['GET', '/users/loggedInUser']] as const) {
      t.strictSame(faultsOfRefusal(await call(method, path), 'token_missing'), [], `${method} ${path}`)
    }
    const visitor = visitorOf(app)
    t.equal((await visitor.signIn(PEOPLE.barbara)).statusCode, 302)
    t.equal((await visitor.get('/')).statusCode, 200, 'signed in')
    t.equal((await visitor.get('/api/v1/tables')).statusCode, 401)
  })

  await t.test('bots write with their scope, and not without', async t => {
    t.strictSame(faultsOfRefusal(await call('PUT', '/tables/orders', reader, orders), 'scope_insufficient'), [])
    t.strictSame(faultsOfRefusal(await call('PUT', '/tables/orders', ada, orders), 'role_insufficient'), [], 'people write by the pages')
    t.strictSame((await call('GET', '/tables', reader)).body, { data: [] }, 'neither did')
    t.match(await call('PUT', '/tables/orders', writer, orders), { status: 200, body: { name: 'orders', ...orders, owner: null, updatedBy: 'ingestion-bot' } })
    t.match(await call('PUT', '/tables/orders', writer, { ...orders, owner: { issuer: 'x', subject: 'y', name: 'z' } }), { status: 200, body: { owner: null } }, 'and nothing but that')
    t.match(await call('PUT', '/tables/orders', writer, {}), { status: 400 })
    t.match(await call('PUT', '/tables/no%20name', writer, orders), { status: 400, headers: { 'content-type': /^application\/problem\+json/ } })
  })

  await t.test('everybody who is known reads', async t => {
    for (const token of [reader, writer, ada, barbara]) t.match(await call('GET', '/tables/orders', token), { status: 200, body: orders })
    t.match(await call('GET', '/nothing', ada), { status: 404, headers: { 'content-type': /^application\/problem\+json/ } })
    t.match(await call('GET', '/tables/none', ada), { status: 404, body: { detail: 'There is no such table' } })
    t.match(await call('GET', '/users/loggedInUser', ada), { status: 200, body: { kind: 'user', name: 'ada', groups: ['analysts'], admin: false } })
    t.match(await call('GET', '/users/loggedInUser', writer), { status: 200, body: { kind: 'bot', name: 'ingestion-bot', scopes: ['metadata:write'] } })
  })

  await t.test('admins give tables to people, and take them away', async t => {
    const { body: { issuer, subject, name } } = await call('GET', '/users/loggedInUser', ada) as unknown as { body: { issuer: string, subject: string, name: string } }
    const owner = { issuer, subject, name }
    for (const token of [ada, writer]) {
      t.strictSame(faultsOfRefusal(await call('PUT', '/tables/orders/owner', token, owner), 'admin_required'), [])
      t.strictSame(faultsOfRefusal(await call('DELETE', '/tables/orders', token), 'admin_required'), [])
    }
    t.match(await call('PUT', '/tables/orders/owner', barbara, owner), { status: 200, body: { owner, updatedBy: 'barbara' } })
    t.match(await call('PUT', '/tables/orders', writer, { description: 'Read anew.' }), { status: 200, body: { description: 'Read anew.', owner } }, 'a bot leaves the owner')
    const nobodys = await call('PUT', '/tables/orders/owner', barbara, null) as Answer & { body: { owner: unknown } }
    t.match(nobodys.status, 200)
    t.equal(nobodys.body.owner, null)
    t.match(await call('PUT', '/tables/none/owner', barbara, owner), { status: 404 })
    t.equal((await call('DELETE', '/tables/orders', barbara)).status, 204)
    t.match(await call('DELETE', '/tables/orders', barbara), { status: 404 })
  })

  await t.test('a bot that is switched off is refused with the token in its hand, and gets no other', async t => {
    await stage.run({ name: 'mintmark bot disable', args: ['src/cli.ts', 'bot', 'disable', 'ingestion-bot'], env: town.service.env, cwd: process.cwd() })
    // The plugin hears of it by the revocation feed, within 15 seconds.
    const deadline = Date.now() + 30_000
    while (Date.now() < deadline && (await call('GET', '/tables', writer)).status === 200) await new Promise(resolve => setTimeout(resolve, 100))
    t.strictSame(faultsOfRefusal(await call('GET', '/tables', writer), 'bot_disabled'), [])
    t.equal((await call('GET', '/tables', reader)).status, 200, 'others are not')
    await t.rejects(fetchToken(town.service, town.bot), /invalid_client/)
  })
})
