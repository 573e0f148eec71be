/** Three real processes on one real PostgreSQL. Counts seconds, so that it is run by hand: node test/replicas.by-hand.ts */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { openShell, type Server, type Shell } from './fakes/pool-processes.ts'
import { startPostgres } from './fakes/postgres.ts'
import { temporaryFolder, type Teardown } from './fakes/service.ts'

t.setTimeout(180_000)

const ISSUER = 'http://localhost:8590'

interface Replicas {
  shell: Shell
  servers: Server[]
  admin: string
  secret: string
}

async function startReplicas (t: Teardown, url: string, settings: Record<string, string> = {}): Promise<Replicas> {
  const shell = openShell(t, temporaryFolder(t), { MINTMARK_DATABASE_URL: url, MINTMARK_MASTER_KEY: randomBytes(32).toString('base64url'), MINTMARK_ISSUER: ISSUER, LOG_LEVEL: 'warn', ...settings })
  const servers = await Promise.all([1, 2, 3].map(async () => await shell.serve()))
  const { clientSecret: adminSecret } = await shell.json<{ clientSecret: string }>('bot', 'create', 'admin-bot', '--admin', '--secret')
  const { clientSecret: secret } = await shell.json<{ clientSecret: string }>('bot', 'create', 'worker-bot', '--secret')
  const [first] = servers
  if (!first) throw new Error('no replica')
  await soon(async () => (await fetchToken(first, 'admin-bot', adminSecret)) !== null)
  return { shell, servers, admin: await fetchToken(first, 'admin-bot', adminSecret) ?? '', secret }
}

async function fetchToken (server: Server, clientId: string, clientSecret: string): Promise<string | null> {
  const response = await fetch(`${server.url}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret }) })
  return response.ok ? (await response.json() as { access_token: string }).access_token : null
}

async function ask (server: Server, token: string, method: string, path: string, body?: object): Promise<{ status: number, json: Record<string, unknown> }> {
  const response = await fetch(`${server.url}${path}`, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, ...(body && { body: JSON.stringify(body) }) })
  const text = await response.text()
  return { status: response.status, json: text === '' ? {} : JSON.parse(text) as Record<string, unknown> }
}

const verdict = async (server: Server, token: string): Promise<unknown> => (await ask(server, token, 'POST', '/verify')).json.code ?? 'good'

/** @returns how long it took, in milliseconds; throws after ten seconds */
async function soon (holds: () => Promise<boolean>, withinMs = 10_000): Promise<number> {
  const startedAt = Date.now()
  while (!await holds().catch(() => false)) {
    if (Date.now() - startedAt > withinMs) throw new Error(`not within ${withinMs} ms`)
    await new Promise(resolve => { setTimeout(resolve, 20) })
  }
  return Date.now() - startedAt
}

const postgres = await startPostgres(t)

await t.test('rotations and revocations', async t => {
  const { servers, admin, secret } = await startReplicas(t, await postgres.database())
  const [one, two, three] = servers as [Server, Server, Server]

  await t.test('force on all three at once rotates once, ten times over', async t => {
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(servers.map(async server => await ask(server, admin, 'POST', '/admin/keys/rotate', { force: true })))
      t.same(answers.map(answer => answer.status), [200, 200, 200])
      t.equal(new Set(answers.map(({ json }) => `${String(json.signing)} ${String(json.next)}`)).size, 1, `round ${round}: one answer`)
    }
    const { json } = await ask(one, admin, 'GET', '/admin/keys')
    const states = (json.keys as Array<{ state: string }>).map(key => key.state)
    t.equal(states.filter(state => state === 'signing').length, 1)
    t.equal(states.length, 12, 'ten rotations, not thirty')
  })

  const seenByAll = async (code: string, token: string): Promise<number[]> => await Promise.all(servers.map(async server => await soon(async () => await verdict(server, token) === code)))

  await t.test('a revoked token, bot and key are refused everywhere within a second', async t => {
    const token = await fetchToken(one, 'worker-bot', secret) ?? ''
    await soon(async () => (await Promise.all(servers.map(async server => await verdict(server, token)))).every(code => code === 'good'))
    const answer = await fetch(`${one.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ token, client_id: 'worker-bot', client_secret: secret }) })
    t.equal(answer.status, 200)
    t.ok(Math.max(...await seenByAll('token_revoked', token)) < 1_000, 'token')

    const other = await fetchToken(two, 'worker-bot', secret) ?? ''
    await ask(two, admin, 'PATCH', '/admin/bots/worker-bot', { enabled: false })
    t.ok(Math.max(...await seenByAll('bot_disabled', other)) < 1_000, 'bot')
    t.equal((await ask(two, admin, 'PATCH', '/admin/bots/worker-bot', { enabled: true })).status, 200)

    await soon(async () => (await Promise.all(servers.map(async server => await verdict(server, other)))).every(code => code === 'good'))
    const kid = (JSON.parse(Buffer.from(other.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid
    const revoked = await ask(three, admin, 'POST', `/admin/keys/${kid}/revoke`, { reason: 'drill' })
    t.equal(revoked.status, 200, JSON.stringify(revoked.json))
    t.ok(Math.max(...await seenByAll('key_revoked', other)) < 1_000, 'key')
    for (const server of servers) t.ok(await fetchToken(server, 'worker-bot', secret), 'and the next key signs')
  })

  await t.test('a replica that is killed takes nothing with it', async t => {
    const rotation = ask(three, admin, 'POST', '/admin/keys/rotate', { force: true }).catch(() => null)
    await three.end('SIGKILL')
    await rotation
    for (const server of [one, two]) {
      const token = await fetchToken(server, 'worker-bot', secret) ?? ''
      for (const verifier of [one, two]) await soon(async () => await verdict(verifier, token) === 'good', 1_000)
    }
    t.equal((await ask(one, admin, 'POST', '/admin/keys/rotate', { force: true })).status, 200)
  })
})

await t.test('the database stops, and comes back', async t => {
  const { servers, admin, secret } = await startReplicas(t, await postgres.database(), { MINTMARK_MAX_STALENESS: '12s' })
  const [one, two] = servers as [Server, Server, Server]
  const token = await fetchToken(one, 'worker-bot', secret) ?? ''
  t.equal(await verdict(one, token), 'good')

  postgres.signal('SIGSTOP')
  t.teardown(() => { postgres.signal('SIGCONT') })
  const startedAt = Date.now()
  const refused = await ask(one, admin, 'POST', '/admin/bots', { name: 'not-now' })
  t.match(refused, { status: 503, json: { code: 'unavailable' } })
  t.ok(Date.now() - startedAt < 5_500, 'a write is refused within five seconds')
  t.equal(await verdict(one, token), 'good', 'verifying goes on')
  t.ok(await fetchToken(one, 'worker-bot', secret), 'and minting')

  await soon(async () => await verdict(one, token) === 'state_stale', 15_000)
  t.match(await (await fetch(`${one.url}/health/ready`)).json(), { status: 'not ready', reasons: [/database has been away/] })
  t.match(await (await fetch(`${one.url}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: 'worker-bot', client_secret: secret }) })).json(), { error: 'temporarily_unavailable' })
  t.equal((await fetch(`${one.url}/.well-known/jwks.json`)).status, 200, 'the JWKS is still served')

  postgres.signal('SIGCONT')
  for (const server of [one, two]) await soon(async () => await verdict(server, token) === 'good')
  t.equal((await ask(one, admin, 'POST', '/admin/bots', { name: 'now' })).status, 201, 'and it heals by itself')
})

await t.test('rolling restart under load: not one failed request on the survivors', async t => {
  const { shell, servers, secret } = await startReplicas(t, await postgres.database())
  const alive = new Set(servers)
  let failed = 0
  let asked = 0
  const load = { goesOn: true }
  const keepAsking = async (): Promise<void> => {
    while (load.goesOn) {
      for (const server of [...alive]) {
        const token = await fetchToken(server, 'worker-bot', secret).catch(() => null)
        const [verifier] = [...alive].toReversed()
        if (!alive.has(server) || !verifier) continue
        asked++
        if (token === null || await verdict(verifier, token) !== 'good') failed++
      }
    }
  }
  const loaders = [keepAsking(), keepAsking()]
  for (const server of servers) {
    alive.delete(server)
    await new Promise(resolve => { setTimeout(resolve, 100) })
    t.equal((await server.end('SIGTERM')).code, 0)
    alive.add(await shell.serve())
  }
  load.goesOn = false
  await Promise.all(loaders)
  t.ok(asked > 20, `${asked} requests`)
  t.equal(failed, 0)
})
