/** `GET /auth` goes by a lane of its own, past the router: whoever asks must not be able to tell which way his request went. */
import { request as httpRequest } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { pino } from 'pino'
import t from 'tap'
import { createAuthLane } from '../../src/http/auth-lane.ts'
import { startPool } from '../fakes/pool.ts'
import { movableClock } from '../fakes/clock.ts'
import { startService, type Service, type Teardown } from '../fakes/service.ts'

interface Answer { status: number, headers: Record<string, unknown>, body: string }

/** What differs from one request to the next, or belongs to the connection. */
const OF_THE_MOMENT = ['date', 'connection', 'keep-alive', 'x-request-id']

function withoutMoment ({ status, headers, body }: Answer): Answer {
  return { status, body, headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_THE_MOMENT.includes(name)).sort(([a], [b]) => a.localeCompare(b))) }
}

async function byLane (service: Service, path: string, headers: Record<string, string>): Promise<Answer> {
  const { port } = service.app.server.address() as AddressInfo
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    httpRequest({ port, host: '127.0.0.1', path, headers, agent: false }, resolve).on('error', reject).end()
  })
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) }
}

/** `inject` gives requests to the router: nothing has listened. */
async function byRoute ({ app }: Service, path: string, headers: Record<string, string>): Promise<Answer> {
  const { statusCode, headers: answered, body } = await app.inject({ url: path, headers })
  return { status: statusCode, headers: answered, body }
}

async function listening (t: Teardown, ...given: Parameters<typeof startService> extends [unknown, ...infer Rest] ? Rest : never): Promise<Service> {
  const service = await startService(t, ...given)
  await service.app.listen({ port: 0, host: '127.0.0.1' })
  return service
}

await t.test('both ways answer the same', async t => {
  const time = movableClock()
  const pool = await startPool(t, time.clock)
  const service = await listening(t, { ...pool.settings, MINTMARK_MAX_STALENESS: '5m' }, time)
  const bot = `Bearer ${await service.token(await service.bot('ingestion-bot', { scopes: ['a', 'b'], roles: ['R,ö', '%'] }))}`
  const user = `Bearer ${await pool.idToken()}`
  const asked: Array<[path: string, headers: Record<string, string>]> = [
    ['/auth', {}],
    ...['/auth', '/auth/', '/auth/api/v1/tables?scope=other', '/auth/%zz', '/auth?', '/auth?scope=a', '/auth?scope=a&scope=other', '/auth?role=none', '/auth?audience=other', '/auth?scope=a%20b&x=1', '/auth?scope='].map((path): [string, Record<string, string>] => [path, { authorization: bot }]),
    ['/auth', { authorization: user }],
    ['/auth', { authorization: `${bot}x` }],
    ['/auth', { authorization: 'Bearer' }],
    ['/auth', { authorization: 'Bearer a b' }],
    ['/auth', { authorization: 'Basic YTpi' }],
    ['/auth', { authorization: bot, 'content-type': 'no/type', 'x-request-id': 'mine' }],
    ['/authx', { authorization: bot }],
    ['/auth;x', { authorization: bot }]
  ]
  const statuses = new Set<number>()
  for (const [path, headers] of asked) {
    const lane = withoutMoment(await byLane(service, path, headers))
    statuses.add(lane.status)
    const route = withoutMoment(await byRoute(service, path, headers))
    if (lane.status !== 404) t.strictSame(lane, route, `${path} ${JSON.stringify(headers).slice(0, 60)}`)
    else t.equal(route.status, 404, path)
  }
  t.strictSame([...statuses].sort(), [200, 401, 403, 404])
  service.advance(301)
  t.strictSame(withoutMoment(await byLane(service, '/auth', { authorization: bot })), withoutMoment(await byRoute(service, '/auth', { authorization: bot })), 'nor once revocations have not been heard of')
})

await t.test('request ids are kept, or made, and never the same', async t => {
  const service = await listening(t)
  t.equal((await byLane(service, '/auth', { 'x-request-id': 'mine-1' })).headers['x-request-id'], 'mine-1')
  const made = new Set<unknown>()
  for (let number = 0; number < 5; number++) {
    for (const id of [undefined, '{evil}', 'x'.repeat(65)]) {
      const { headers } = await byLane(service, '/auth', id === undefined ? {} : { 'x-request-id': id })
      t.match(headers['x-request-id'], /^[\w-]{10,64}$/)
      made.add(headers['x-request-id'])
    }
  }
  t.equal(made.size, 15)
})

await t.test('both ways are counted', async t => {
  const service = await listening(t)
  const authorization = `Bearer ${await service.token(await service.bot('ingestion-bot'))}`
  const counted = async (): Promise<Array<string | undefined>> => {
    const { body } = await service.app.inject('/metrics')
    return [/request_duration_seconds_count{route="\/auth",method="GET",status="200"} (\d+)/, /request_duration_seconds_count{route="\/auth",method="GET",status="401"} (\d+)/, /verifications_total{kind="bot",code="ok"} (\d+)/].map(line => line.exec(body)?.[1])
  }
  for (let number = 0; number < 300; number++) await byLane(service, '/auth', { authorization })
  await byLane(service, '/auth', {})
  t.strictSame(await counted(), ['300', '1', '300'])
  await byRoute(service, '/auth', { authorization })
  t.strictSame(await counted(), ['301', '1', '301'])
})

await t.test('at debug level there is a line in the log for each', async t => {
  const lines: string[] = []
  const service = await listening(t, {}, movableClock(), pino({ level: 'debug' }, { write: (line: string) => { lines.push(line) } }))
  await byLane(service, '/auth', { 'x-request-id': 'seen' })
  t.ok(lines.some(line => line.includes('"requestId":"seen"') && line.includes('"path":"/auth"') && line.includes('"status":401')))
})

await t.test('a server that closes answers what was asked, and ends the connection', async t => {
  const service = await listening(t)
  const { port } = service.app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  let answered = ''
  socket.on('data', (chunk: Buffer) => { answered += chunk.toString() })
  const ended = new Promise(resolve => { socket.once('close', resolve) })
  socket.write('GET /auth HTTP/1.1\r\nHost: x\r\n\r\n')
  while (!answered.includes('401')) await new Promise(resolve => { setTimeout(resolve, 5) })
  await service.app.close()
  await ended
  t.match(answered, /^HTTP\/1\.1 401 Unauthorized\r\nwww-authenticate: Bearer realm="mintmark"\r\n/)
})

await t.test('what is not quite plain is routed', async t => {
  let answers = 0
  const lane = createAuthLane({ answer: () => { answers++; return undefined }, metrics: { answered () { /* nobody counts */ } }, connections: { await () { /* nobody waits */ } }, isOpen: () => isOpen })
  let isOpen = true
  const goesBy = (method: string, url: string): boolean => lane({ method, url, headers: {} } as never, {} as never)
  for (const url of ['/auth', '/auth/', '/auth/x', '/auth?scope=a']) t.ok(goesBy('GET', url), url)
  for (const url of ['/authx', '/Auth', '/', '', '//auth', 'http://h/auth', '/verify', '*']) t.notOk(goesBy('GET', url), url)
  for (const method of ['HEAD', 'POST', 'get', 'OPTIONS']) t.notOk(goesBy(method, '/auth'), method)
  isOpen = false
  t.notOk(goesBy('GET', '/auth'))
  t.equal(answers, 4)
})
