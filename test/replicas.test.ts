/** Three real processes on one real PostgreSQL. How long things took is printed, not judged: the machine may be busy. */
import t from 'tap'
import type { Server } from './fakes/pool-processes.ts'
import { startPostgres } from './fakes/postgres.ts'
import { ask, fetchToken, revokeToken, soon, startReplicas, verdict } from './fakes/replicas.ts'

t.setTimeout(300_000)

/** How long a rotation gathers calls: see docs/decisions/0020. */
const OVERLAP_MS = 250
const ROUNDS = 10

const postgres = await startPostgres(t)

await t.test('rotations and revocations', async t => {
  const { servers, admin, secret } = await startReplicas(t, await postgres.database())
  const [one, two, three] = servers
  const rotate = async (server: Server, wish: object) => await ask(server, admin, 'POST', '/admin/keys/rotate', wish)

  for (const [kind, wish] of Object.entries({ force: { force: true }, emergency: { emergency: true, reason: 'drill' } })) {
    await t.test(`${kind} on all three at once rotates once, ${ROUNDS} times over`, async t => {
      await rotate(one, { force: true }) // the admin's token is of a key that no emergency is about
      const before = (await ask(one, admin, 'GET', '/admin/keys?all=true')).json.keys as unknown[]
      const moments = new Map<string, number>()
      for (let round = 0; round < ROUNDS; round++) {
        const answers = await Promise.all(servers.map(async server => await rotate(server, wish)))
        t.same(answers.map(answer => answer.status), [200, 200, 200])
        for (const { json } of answers) moments.set(`${String(json.signing)} ${String(json.next)}`, Date.parse(String(json.effectiveAt)))
      }
      const all = [...moments.values()].sort((a, b) => a - b)
      t.same(all.filter((moment, place) => moment - (all[place - 1] ?? 0) < OVERLAP_MS), [], 'no two answers for what overlapped')
      const after = (await ask(one, admin, 'GET', '/admin/keys?all=true')).json.keys as Array<{ state: string }>
      t.equal(after.filter(key => key.state === 'signing').length, 1)
      t.equal(after.length - before.length, moments.size, 'as many rotations as answers')
      t.ok(moments.size < 2 * ROUNDS, 'calls at once do overlap')
      t.comment(`${ROUNDS} groups of three calls rotated ${moments.size} times`) // ten, on a machine that is not too busy to send them at once
    })
  }

  await t.test('calls one after the other rotate one after the other, whoever gets them', async t => {
    const signing = new Set<unknown>()
    for (const server of [one, two, three, three, one]) signing.add((await rotate(server, { force: true })).json.signing)
    t.equal(signing.size, 5)
  })

  const seenByAll = async (code: string, token: string): Promise<string> => {
    const took = await Promise.all(servers.map(async server => await soon(async () => await verdict(server, token) === code)))
    return `${code}: seen by all within ${Math.max(...took)} ms` // the promise is a second
  }

  await t.test('a revoked token, bot and key are refused everywhere', async t => {
    const token = await fetchToken(one, 'worker-bot', secret) ?? ''
    await seenByAll('good', token)
    t.equal(await revokeToken(one, token, secret), 200)
    t.comment(await seenByAll('token_revoked', token))

    const other = await fetchToken(two, 'worker-bot', secret) ?? ''
    await ask(two, admin, 'PATCH', '/admin/bots/worker-bot', { enabled: false })
    t.comment(await seenByAll('bot_disabled', other))
    t.equal((await ask(two, admin, 'PATCH', '/admin/bots/worker-bot', { enabled: true })).status, 200)

    await seenByAll('good', other)
    const { kid } = JSON.parse(Buffer.from(other.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }
    const revoked = await ask(three, admin, 'POST', `/admin/keys/${kid}/revoke`, { reason: 'drill' })
    t.equal(revoked.status, 200, JSON.stringify(revoked.json))
    t.comment(await seenByAll('key_revoked', other))
    for (const server of servers) t.ok(await fetchToken(server, 'worker-bot', secret), 'and the next key signs')
  })

  await t.test('a replica that is killed takes nothing with it', async t => {
    const rotation = rotate(three, { force: true }).catch(() => null)
    await three.end('SIGKILL')
    await rotation
    for (const server of [one, two]) {
      const token = await fetchToken(server, 'worker-bot', secret) ?? ''
      for (const verifier of [one, two]) await soon(async () => await verdict(verifier, token) === 'good')
    }
    t.equal((await rotate(one, { force: true })).status, 200)
  })
})

await t.test('the database hangs, and comes back', async t => {
  const { servers, admin, secret } = await startReplicas(t, await postgres.database(), { MINTMARK_MAX_STALENESS: '10s' })
  const [one, two] = servers
  const token = await fetchToken(one, 'worker-bot', secret) ?? ''
  t.equal(await verdict(one, token), 'good')

  postgres.signal('SIGSTOP')
  t.teardown(() => { postgres.signal('SIGCONT') })
  const startedAt = performance.now()
  const refusal = ask(one, admin, 'POST', '/admin/bots', { name: 'not-now' })
  t.equal(await verdict(one, token), 'good', 'verifying goes on')
  t.ok(await fetchToken(one, 'worker-bot', secret), 'and minting')
  t.match(await refusal, { status: 503, json: { code: 'unavailable' } }, 'a write is refused')
  t.comment(`after ${Math.round(performance.now() - startedAt)} ms`) // the promise is five seconds

  await soon(async () => await verdict(one, token) === 'state_stale')
  t.match(await (await fetch(`${one.url}/health/ready`)).json(), { status: 'not ready', reasons: [/database has been away/] })
  t.match(await (await fetch(`${one.url}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: 'worker-bot', client_secret: secret }) })).json(), { error: 'temporarily_unavailable' })
  t.equal((await fetch(`${one.url}/.well-known/jwks.json`)).status, 200, 'the JWKS is still served')

  postgres.signal('SIGCONT')
  for (const server of [one, two]) t.comment(`healed ${await soon(async () => await verdict(server, token) === 'good')} ms after it was back`)
  await soon(async () => (await ask(one, admin, 'POST', '/admin/bots', { name: 'now' })).status === 201)
})

await t.test('rolling restart under load: not one failed request on the survivors', async t => {
  const { shell, servers, secret } = await startReplicas(t, await postgres.database())
  const alive = new Set<Server>(servers)
  let [asked, failed] = [0, 0]
  const load = { goesOn: true }
  const keepAsking = async (): Promise<void> => {
    while (load.goesOn) {
      for (const server of [...alive]) {
        const [verifier = server] = [...alive].toReversed()
        const token = await fetchToken(server, 'worker-bot', secret).catch(() => null)
        const isGood = token !== null && await verdict(verifier, token).catch(() => null) === 'good'
        if (!alive.has(server) || !alive.has(verifier)) continue
        asked++
        if (!isGood) failed++
      }
    }
  }
  const loaders = [keepAsking(), keepAsking()]
  for (const server of servers) {
    alive.delete(server)
    t.equal((await server.end('SIGTERM')).code, 0)
    alive.add(await shell.serve())
  }
  load.goesOn = false
  await Promise.all(loaders)
  t.ok(asked > 0, `${asked} requests`)
  t.equal(failed, 0)
})
