/** The database's clock rules: replicas on machines whose clocks are wrong, over one PostgreSQL. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { decodeJwt } from 'jose'
import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { draftBot } from '../src/bots/bot-draft.ts'
import { startPostgres } from './fakes/postgres.ts'
import { startService, temporaryFolder, TEST_EVENT, type Service } from './fakes/service.ts'

t.setTimeout(120_000)
const postgres = await startPostgres(t)

/** @param skews how far each replica's machine is ahead of the database, in seconds */
async function startReplicas (t: Test, skews: number[], settings: Record<string, string> = {}): Promise<{ replicas: Service[], databaseSeconds: () => Promise<number>, warnings: string[][] }> {
  const url = await postgres.database()
  const keyFile = `${temporaryFolder(t)}/master.key`
  writeFileSync(keyFile, randomBytes(32).toString('base64url'), { mode: 0o600 })
  const environment = { MINTMARK_DATABASE_URL: url, MINTMARK_MASTER_KEY_FILE: keyFile, MINTMARK_CLOCK_TOLERANCE: '1s', ...settings }
  const replicas: Service[] = []
  const warnings: string[][] = []
  for (const skew of skews) {
    const lines: string[] = []
    const log = pino({ level: 'warn' }, { write (line) { lines.push((JSON.parse(line) as { msg: string }).msg) } })
    const service = await startService(t, environment, { clock: () => new Date(Date.now() + skew * 1000), advance: () => { throw new Error('real time passes by itself') } }, log)
    warnings.push(lines)
    t.teardown(service.parts.changes.start(error => { t.fail(String(error)) }))
    replicas.push(service)
  }
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(async () => { await client.end() })
  const databaseSeconds = async (): Promise<number> => Number((await client.query<{ now: string }>('select extract(epoch from clock_timestamp()) as now')).rows[0]?.now)
  return { replicas, databaseSeconds, warnings }
}

async function verdict ({ app }: Service, token: string): Promise<string> {
  const { code = 'good' } = (await app.inject({ method: 'POST', url: '/verify', headers: { authorization: `Bearer ${token}` } })).json<{ code?: string }>()
  return code
}

const verdicts = async (replicas: Service[], token: string): Promise<string[]> => await Promise.all(replicas.map(async replica => await verdict(replica, token)))

/** Every replica has heard of every change. */
async function settle (replicas: Service[]): Promise<void> {
  for (const { parts } of replicas) await parts.changes.catchUp()
}

await t.test('replicas three seconds ahead, right, three seconds and half a year behind', async t => {
  const { replicas, databaseSeconds, warnings } = await startReplicas(t, [3, 0, -3, -180 * 86_400])
  const [ahead, right, behind, lost] = replicas as [Service, Service, Service, Service]
  const bot = await ahead.bot('ingestion-bot')
  const authorization = `Bearer ${await right.adminToken()}`
  await settle(replicas)

  await t.test('what one has minted is good on all at once', async t => {
    for (const minter of replicas) t.same(await verdicts(replicas, await minter.token(bot)), ['good', 'good', 'good', 'good'])
  })

  await t.test('iat and exp are the database\'s', async t => {
    for (const minter of replicas) {
      const before = await databaseSeconds()
      const { iat = 0, exp = 0 } = decodeJwt(await minter.token(bot))
      const after = await databaseSeconds()
      t.ok(iat >= Math.floor(before - 0.1) && iat <= after + 0.1, `${before} ≤ ${iat} ≤ ${after}`)
      t.equal(exp - iat, 3_600)
    }
  })

  await t.test('they agree on the key that signs, and on when the next one will', async t => {
    for (const { app } of replicas) {
      const before = await databaseSeconds()
      const rotated = await app.inject({ method: 'POST', url: '/admin/keys/rotate', headers: { authorization }, payload: { force: true } })
      t.equal(rotated.statusCode, 200, rotated.body)
      await settle(replicas)
      const { signing, next, effectiveAt } = rotated.json<{ signing: string, next: string, effectiveAt: string }>()
      const [at, after] = [Date.parse(effectiveAt) / 1000, await databaseSeconds()]
      t.ok(at >= before - 0.1 && at <= after + 0.1, `by the clock of the database: ${before} ≤ ${at} ≤ ${after}`)
      t.same(replicas.map(replica => replica.parts.ring.signing()?.kid), replicas.map(() => signing))
      const { keys } = (await app.inject({ method: 'GET', url: '/admin/keys', headers: { authorization } })).json<{ keys: Array<{ kid: string, state: string }> }>()
      t.same([signing, next].map(kid => keys.find(key => key.kid === kid)?.state), ['signing', 'pending'])
    }
  })

  await t.test('the audit trail\'s time is the database\'s', async t => {
    const before = await databaseSeconds()
    for (const [number, { parts }] of replicas.entries()) {
      await parts.bots.create(draftBot(`dated-${number}`, {}, ['metadata-api'], new Date(0)), null, TEST_EVENT)
      const [event] = await parts.audit.list({ limit: 1 })
      const at = (event?.at.getTime() ?? 0) / 1000
      t.ok(at >= before - 0.1 && at <= await databaseSeconds() + 0.1, `${at} is after ${before}`)
    }
  })

  await t.test('the log and readiness name an offset above the tolerance', async t => {
    const heard = warnings.map(lines => lines.filter(line => line.startsWith('the clock of this machine')))
    t.match(heard, [[/ by -3 s, /], [], [/ by 3 s, /], [/ by 15552000 s, /]])
    t.same(heard.map(lines => lines.length), [1, 0, 1, 1], 'once each')

    const reasons = async ({ app }: Service): Promise<string[]> => (await app.inject({ method: 'GET', url: '/health/ready' })).json<{ reasons: string[] }>().reasons
    t.match(await reasons(ahead), [/^the clock of this machine differs from the database's by -3 s, more than MINTMARK_CLOCK_TOLERANCE/])
    t.match(await reasons(behind), [/ by 3 s, /])
    t.match(await reasons(lost), [/ by 15552000 s, /])
    t.same(await reasons(right), [])
    t.equal((await ahead.app.inject({ method: 'GET', url: '/health/ready' })).statusCode, 503)
  })

  await t.test('a revocation by one holds on all, whatever their clocks say', async t => {
    for (const [number, revoker] of replicas.entries()) {
      const client = await revoker.bot(`bot-${number}`)
      await settle(replicas)
      const change = async (method: 'POST' | 'PATCH', url: string, payload: object): Promise<void> => {
        const answer = await revoker.app.inject({ method, url, headers: { authorization }, payload })
        t.equal(answer.statusCode, 200, answer.body)
        await settle(replicas)
      }

      const tokens = await Promise.all(replicas.map(async minter => await minter.token(client)))
      await change('POST', `/admin/bots/bot-${number}/revoke-tokens`, {})
      for (const token of tokens) t.same(await verdicts(replicas, token), replicas.map(() => 'token_revoked'), `all that it had, taken back on ${number}`)
      const fresh = await Promise.all(replicas.map(async minter => await minter.token(client)))
      for (const token of fresh) t.same(await verdicts(replicas, token), replicas.map(() => 'good'), 'and what was minted since is good')

      const revoked = await revoker.app.inject({ method: 'POST', url: '/oauth/revoke', headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' }, payload: new URLSearchParams({ token: fresh[0] ?? '' }).toString() })
      t.equal(revoked.statusCode, 200, revoked.body)
      await settle(replicas)
      t.same(await verdicts(replicas, fresh[0] ?? ''), replicas.map(() => 'token_revoked'), 'one token')

      await change('PATCH', `/admin/bots/bot-${number}`, { enabled: false })
      t.same(await verdicts(replicas, fresh[1] ?? ''), replicas.map(() => 'bot_disabled'), 'a bot')
    }

    const token = await ahead.token(bot)
    const kid = ahead.parts.ring.signing()?.kid ?? ''
    const answer = await behind.app.inject({ method: 'POST', url: `/admin/keys/${kid}/revoke`, headers: { authorization }, payload: { reason: 'drill' } })
    t.equal(answer.statusCode, 200)
    await settle(replicas)
    t.same(await verdicts(replicas, token), replicas.map(() => 'key_revoked'), 'a key')
  })
})
