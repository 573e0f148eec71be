/** What examples/metadata-api promises of its sessions: who may begin one, what ends it, what a forged request gets. */
import t from 'tap'
import { addToGroup, deleteUser } from '../../../examples/demo/cognito.ts'
import { fetchToken, PEOPLE } from '../../../examples/metadata-api/try/town.ts'
import { startExampleTown, URL_OF_API, type ExampleTown } from '../../fakes/example-api.ts'
import { visitorOf } from '../../fakes/visitor.ts'

t.setTimeout(120_000)

const MINUTE = 60
const town = await startExampleTown(t)

await t.test('a sign-in', async t => {
  const { app } = await town.startApi()

  await t.test('gives another session than the one that it was begun in', async t => {
    const visitor = visitorOf(app)
    const callback = await visitor.throughHostedUi(PEOPLE.ada)
    const before = visitor.cookies.get('session')
    t.match(await visitor.get(callback), { statusCode: 302, headers: { location: `${URL_OF_API}/` } })
    t.ok(before)
    t.not(visitor.cookies.get('session'), before)
    t.match((await visitor.get('/')).body, /<strong id="name">ada</)

    const planted = visitorOf(app)
    planted.cookies.set('session', before ?? '')
    t.match(await planted.get('/'), { statusCode: 303, headers: { location: /^\/sign-in\?/ } }, 'whoever planted it is not signed in')
  })

  await t.test('ends in the browser that began it, once', async t => {
    const [ada, grace] = [visitorOf(app), visitorOf(app)]
    const callback = await ada.throughHostedUi(PEOPLE.ada)
    t.equal((await grace.get(callback)).statusCode, 400, 'a browser that has begun none')
    await grace.throughHostedUi(PEOPLE.grace)
    const refused = await grace.get(callback)
    t.match(refused, { statusCode: 400, body: /Begin it again/ }, 'a browser that has begun another')
    t.equal((await grace.get('/')).statusCode, 303)
    t.equal((await ada.get(callback)).statusCode, 302)
    t.equal((await ada.get(callback)).statusCode, 400, 'the second time')
    t.equal((await ada.get('/')).statusCode, 200, 'and the session stays as it is')
  })

  await t.test('that the hosted UI broke off is told to the person', async t => {
    const visitor = visitorOf(app)
    const callback = await visitor.throughHostedUi(PEOPLE.ada)
    const state = new URL(callback, URL_OF_API).searchParams.get('state') ?? ''
    t.match(await visitor.get(`/callback?error=access_denied&error_description=%3Cb%3E&state=${state}`), { statusCode: 400, headers: { 'content-type': /^text\/html/ } })
    t.equal((await visitor.get(callback)).statusCode, 400, 'and that attempt is over')
  })

  await t.test('leads to pages of this server alone', async t => {
    for (const [to, place] of [
      ['/tables/orders?x=1', '/tables/orders?x=1'], ['https://elsewhere.example/', '/'], ['//elsewhere.example/', '/'], ['/\\elsewhere.example', '/'],
      ['/\t/elsewhere.example', '/'], ['/.//elsewhere.example', '//elsewhere.example'], ['javascript:alert(1)', '/'], ['http://', '/']
    ] as const) {
      t.equal((await visitorOf(app).signIn(PEOPLE.ada, to)).headers.location, `${URL_OF_API}${place}`, JSON.stringify(to))
    }
  })
})

await t.test('whom the plugin refuses is told so, and not sent around in a circle', async t => {
  const { app } = await town.startApi({ AUTHORIZER_PRINCIPAL_DOMAIN: 'example.com', AUTHORIZER_ENFORCE_PRINCIPAL_DOMAIN: 'true' })
  const ada = visitorOf(app)
  t.match(await ada.signIn(PEOPLE.ada), { statusCode: 401, body: /<h1>Not signed in/, headers: { 'content-type': /^text\/html/ } })
  t.equal((await ada.get('/')).statusCode, 303)
})

await t.test('a form that was not made for this session is refused', async t => {
  const { app } = await town.startApi()
  await writeOrders(town, app)
  const [ada, grace] = [visitorOf(app), visitorOf(app)]
  await ada.signIn(PEOPLE.ada)
  await grace.signIn(PEOPLE.grace)
  const token = await ada.csrfAt('/tables/orders')
  t.ok(token)

  const forged = [{}, { _csrf: '' }, { _csrf: 'x' }, { _csrf: await grace.csrfAt('/') }] as Array<Record<string, string>>
  for (const path of ['/tables/orders', '/tables/orders/owner', '/sign-out']) {
    for (const form of forged) t.match(await ada.post(path, { ...form, description: 'forged' }), { statusCode: 403, body: /out of date/ }, `${path} ${JSON.stringify(form)}`)
  }
  t.notMatch((await ada.get('/')).body, /forged/, 'still signed in, and nothing has changed')

  t.match(await visitorOf(app).post('/tables/orders', { _csrf: token, description: 'forged' }), { statusCode: 303, headers: { location: '/sign-in?to=%2F' } }, 'without a session')
  t.equal((await ada.post('/tables/orders/owner', { _csrf: token })).statusCode, 303)
  t.equal((await grace.post('/tables/orders/owner', { _csrf: await grace.csrfAt('/') })).statusCode, 403, 'what is taken is taken')
  t.equal((await ada.post('/tables/orders', { _csrf: token, description: 'One\r\nTwo' })).statusCode, 303)
  t.match((await grace.get('/tables/orders')).body, /One\nTwo/)
  t.equal((await ada.post('/tables/orders', { _csrf: token, description: 'x'.repeat(2001) })).statusCode, 400)
})

await t.test('the cookie is for this host alone where there is https', async t => {
  const { app } = await town.startApi({ AUTHENTICATION_CALLBACK_URL: 'https://metadata.example.com/callback', MINTMARK_TRUST_PROXY: '127.0.0.1' })
  const answer = await visitorOf(app).get('/sign-in', { 'x-forwarded-proto': 'https' })
  t.match(answer.headers['set-cookie'], /^__Host-session=[^;]+; Path=\/; Expires=[^;]+; HttpOnly; Secure; SameSite=Lax$/)
  t.match(await visitorOf(app).get('/sign-in'), { statusCode: 302, cookies: [] }, 'none goes over plain http')
})

await t.test('tokens are renewed before they end, and the person is who the pool says that he is now', async t => {
  const { app, advance } = await town.startApi()
  const ada = visitorOf(app)
  await ada.signIn(PEOPLE.ada)
  await addToGroup(town.cognito, town.poolId, PEOPLE.ada, 'admins')
  advance(58 * MINUTE)
  t.notMatch((await ada.get('/')).body, /class="admin"/, 'the token in hand is good, and says what it said')
  advance(1.5 * MINUTE)
  t.match((await ada.get('/')).body, /class="admin"/, 'the new one knows better')

  await deleteUser(town.cognito, town.poolId, PEOPLE.ada)
  t.match(await ada.get('/'), { statusCode: 303, headers: { location: '/sign-in?to=%2F' } }, 'whom the pool does not know any more is out with the next renewal')
})

await t.test('a session that nobody used for twelve hours is over', async t => {
  const { app, advance } = await town.startApi()
  const grace = visitorOf(app)
  await grace.signIn(PEOPLE.grace)
  advance(12 * 60 * MINUTE - 1)
  t.equal((await grace.get('/')).statusCode, 200)
  advance(12 * 60 * MINUTE + 1)
  t.equal((await grace.get('/')).statusCode, 303)
})

async function writeOrders ({ service, bot }: ExampleTown, app: { inject: (request: object) => Promise<{ statusCode: number }> }): Promise<void> {
  const headers = { authorization: `Bearer ${await fetchToken(service, bot)}` }
  await app.inject({ method: 'PUT', url: '/api/v1/tables/orders', headers, payload: { description: 'From the shop.' } })
}
