/** The plugin's state over time: a clock and timers that the test moves, the real service, and a wire between them that fails. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createTrustedIssuers, type TrustedIssuers } from '../../src/plugin/issuers.ts'
import { readOptions, type MintmarkOptions } from '../../src/plugin/options.ts'
import { VerifyError } from '../../src/verify/errors.ts'
import type { Page } from '../../src/verify/http-get.ts'
import { judgeByJose } from '../../src/verify/jose-judge.ts'
import { createVerifier } from '../../src/verify/verifier.ts'
import { movableClock } from '../fakes/clock.ts'
import { LEGACY_ISSUER, legacyServer } from '../fakes/legacy-server.ts'
import { startPool, type Pool } from '../fakes/pool.ts'
import { startService, TEST_EVENT, type Service } from '../fakes/service.ts'

/** The feed, the issuer's keys, the pool's keys. */
const FETCHED = 3

interface World {
  service: Service
  pool: Pool
  wire: { isCut: boolean, asked: string[], replay: Map<string, Page> }
  /** Moves the clock, and lets all timers run that are due on the way. @param isDatabaseThere what the service's own looks find */
  pass: (seconds: number, isDatabaseThere?: boolean) => Promise<void>
  verdict: (token: string) => Promise<string>
  restartPlugin: () => void
  timers: () => number
  stop: () => void
}

async function start (t: Test, options: Partial<MintmarkOptions> = {}, settings: Record<string, string> = {}): Promise<World> {
  const time = movableClock()
  const pool = await startPool(t, time.clock)
  const service = await startService(t, { ...pool.settings, MINTMARK_MAX_STALENESS: '5m', ...settings }, time)
  const wire: World['wire'] = { isCut: false, asked: [], replay: new Map() }
  let timers: Array<{ at: number, run: () => void }> = []
  let issuers: TrustedIssuers
  let stop = (): void => { /* nothing runs yet */ }

  async function get (url: string, { etag }: { etag?: string | null }): Promise<Page> {
    const { pathname, origin } = new URL(url)
    wire.asked.push(pathname)
    if (origin === new URL(pool.issuer).origin) {
      const response = await fetch(url)
      return { status: response.status, etag: null, text: await response.text() }
    }
    if (wire.isCut) throw new Error('the wire is cut')
    const replayed = wire.replay.get(pathname)
    if (replayed) return replayed
    const answer = await service.app.inject({ url: pathname, headers: typeof etag === 'string' ? { 'if-none-match': etag } : {} })
    return { status: answer.statusCode, etag: String(answer.headers.etag), text: answer.body }
  }

  const now = (): number => time.clock().getTime()
  /** Whatever is fetched starts a timer when it is done. */
  const idle = async (): Promise<void> => { while (timers.length < FETCHED) await nextTurn() }
  function restartPlugin (): void {
    stop()
    issuers = createTrustedIssuers(readOptions({ issuer: 'http://localhost:8590', audience: 'metadata-api', cognito: { issuer: pool.issuer, clientId: pool.clientId }, ...options }), {
      clock: time.clock,
      get,
      onFetched () { /* nobody listens */ },
      startTimer (run, milliseconds) {
        const timer = { at: now() + milliseconds, run }
        timers.push(timer)
        return () => { timers = timers.filter(other => other !== timer) }
      }
    })
    stop = issuers.start()
  }
  restartPlugin()
  await idle()

  return {
    service,
    pool,
    wire,
    restartPlugin,
    timers: () => timers.length,
    stop: () => { stop() },
    async pass (seconds, isDatabaseThere = true) {
      const until = now() + seconds * 1000
      for (;;) {
        const [next] = timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)
        time.advance(((next?.at ?? until) - now()) / 1000)
        if (isDatabaseThere) await service.parts.changes.catchUp()
        if (!next) break
        timers = timers.filter(timer => timer !== next)
        next.run()
        await idle()
      }
    },
    async verdict (token) {
      const verifier = createVerifier({ findIssuer: issuers.findIssuer, clock: time.clock, clockToleranceSeconds: 5 })
      try {
        return (await verifier.verify(token, judgeByJose)).name
      } catch (error) {
        if (error instanceof VerifyError) return error.code
        throw error
      }
    }
  }
}

await t.test('what the issuer takes back is refused here within four seconds', async t => {
  const { service, verdict, pass } = await start(t)
  const tokens = {
    one: await service.token(await service.bot('one')),
    all: await service.token(await service.bot('all')),
    off: await service.token(await service.bot('off')),
    gone: await service.token(await service.bot('gone')),
    good: await service.token(await service.bot('good'))
  }
  for (const [name, token] of Object.entries(tokens)) t.equal(await verdict(token), name)

  const admin = `Bearer ${await service.adminToken()}`
  const act = async (method: 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object, headers: object = {}): Promise<void> => {
    t.ok((await service.app.inject({ method, url, headers: { authorization: admin, ...headers }, ...(payload && { payload }) })).statusCode < 300, `${method} ${url}`)
  }
  await act('POST', '/oauth/revoke', new URLSearchParams({ token: tokens.one }).toString() as unknown as object, { 'content-type': 'application/x-www-form-urlencoded' })
  await act('POST', '/admin/bots/all/revoke-tokens', {})
  await act('PATCH', '/admin/bots/off', { enabled: false })
  await act('DELETE', '/admin/bots/gone')
  await pass(4)
  for (const [name, expected] of [['one', 'token_revoked'], ['all', 'token_revoked'], ['off', 'bot_disabled'], ['gone', 'token_revoked'], ['good', 'good']] as const) t.equal(await verdict(tokens[name]), expected, name)

  await act('PATCH', '/admin/bots/off', { enabled: true })
  await pass(4)
  t.equal(await verdict(tokens.off), 'off', 'switched on again')

  await act('POST', '/admin/keys/rotate', { emergency: true, reason: 'drill' })
  await pass(4)
  t.equal(await verdict(tokens.good), 'key_revoked', 'though it has left the JWKS')
  t.equal(await verdict(await service.token(await service.bot('after'))), 'after')
})

await t.test('a key that has left the JWKS before its revocation was heard of', async t => {
  const { service, verdict } = await start(t)
  const client = await service.bot('ingestion-bot')
  await service.parts.rotator.rotate({ kind: 'forced' }, TEST_EVENT)
  const revoked = await service.token(client)
  t.equal(await verdict(revoked), 'ingestion-bot')
  await service.parts.rotator.rotate({ kind: 'emergency', reason: 'drill' }, TEST_EVENT)
  t.equal(await verdict(await service.token(client)), 'ingestion-bot', 'a kid that is unknown here: the JWKS is fetched')
  t.equal(await verdict(revoked), 'key_revoked', 'not key_unknown')
})

await t.test('an outage of a minute: not one wrong answer', async t => {
  const { service, verdict, pass, wire } = await start(t)
  const client = await service.bot('ingestion-bot')
  const before = await service.token(client)
  await service.parts.rotator.rotate({ kind: 'forced' }, TEST_EVENT)
  await pass(4)
  wire.isCut = true
  const during = await service.token(client)
  for (let second = 0; second < 60; second += 5) {
    await pass(5)
    for (const token of [before, during]) t.equal(await verdict(token), 'ingestion-bot', `after ${second} seconds`)
  }
  wire.isCut = false
  await service.parts.tokens.revokeToken(...idOf(before), TEST_EVENT)
  await pass(15)
  t.equal(await verdict(before), 'token_revoked', 'what was revoked then is heard of')
  t.equal(await verdict(during), 'ingestion-bot')
})

await t.test('rotations: not one wrong answer', async t => {
  const { service, verdict, pass } = await start(t)
  const client = await service.bot('ingestion-bot')
  const tokens: string[] = []
  for (let rotation = 0; rotation < 5; rotation++) {
    tokens.push(await service.token(client))
    for (const token of tokens) t.equal(await verdict(token), 'ingestion-bot', `rotation ${rotation}`)
    await service.parts.rotator.rotate({ kind: 'forced' }, TEST_EVENT)
    await pass(4)
  }
})

await t.test('an outage of more than the staleness promise', async t => {
  const { service, pool, verdict, pass, wire } = await start(t)
  const token = await service.token(await service.bot('ingestion-bot'))
  const user = await pool.idToken()
  wire.isCut = true
  await pass(295)
  t.equal(await verdict(token), 'ingestion-bot')
  await pass(6)
  t.equal(await verdict(token), 'state_stale')
  t.equal(await verdict('x.y.z'), 'token_malformed', 'what is bad all the same is still told apart')
  t.equal(await verdict(user), 'alice', 'Cognito\'s tokens do not depend on the feed')
  wire.isCut = false
  await pass(2)
  t.equal(await verdict(token), 'ingestion-bot', 'the next token asks')
})

await t.test('the issuer is there, its database is not: the feed grows old', async t => {
  const { service, verdict, pass } = await start(t)
  const token = await service.token(await service.bot('ingestion-bot'))
  await pass(240, false)
  t.equal(await verdict(token), 'ingestion-bot')
  await pass(61, false)
  t.equal(await verdict(token), 'state_stale')
  await service.parts.changes.catchUp()
  await pass(4)
  t.equal(await verdict(token), 'ingestion-bot')
})

await t.test('it starts while the issuer is away', async t => {
  const { service, verdict, pass, wire, restartPlugin, pool } = await start(t)
  const om = legacyServer(service.clock)
  await importLegacyKey(service, om)
  const tokens = [await service.token(await service.bot('ingestion-bot')), await om.token()]
  wire.isCut = true
  restartPlugin()
  await pass(2)
  for (const token of tokens) t.equal(await verdict(token), 'keys_unavailable')
  t.equal(await verdict(await pool.idToken()), 'alice')
  wire.isCut = false
  await pass(10)
  for (const token of tokens) t.equal(await verdict(token), 'ingestion-bot')
  t.equal(await verdict(await om.token({ iss: 'https://evil.example' })), 'issuer_unknown')
})

await t.test('it has keys, but no feed', async t => {
  const { service, verdict, pass, wire, restartPlugin } = await start(t)
  const token = await service.token(await service.bot('ingestion-bot'))
  wire.replay.set('/.well-known/token-revocations', { status: 503, etag: null, text: '' })
  restartPlugin()
  await pass(1)
  t.equal(await verdict(token), 'state_stale', 'a token is never good without one')
})

await t.test('a replayed older feed is ignored', async t => {
  const { service, verdict, pass, wire } = await start(t)
  const path = '/.well-known/token-revocations'
  const token = await service.token(await service.bot('ingestion-bot'))
  const older = await service.app.inject(path)
  await service.parts.tokens.revokeToken(...idOf(token), TEST_EVENT)
  await pass(4)
  t.equal(await verdict(token), 'token_revoked')
  wire.replay.set(path, { status: 200, etag: '"older"', text: older.body })
  await pass(120)
  t.equal(await verdict(token), 'token_revoked')
  await pass(200)
  t.not(await verdict(token), 'ingestion-bot', 'and is over by the time that nothing newer is held')
})

await t.test('a bot\'s token is no feed', async t => {
  const { service, verdict, pass, wire, restartPlugin } = await start(t)
  const token = await service.token(await service.bot('ingestion-bot'))
  wire.replay.set('/.well-known/token-revocations', { status: 200, etag: '"x"', text: token })
  restartPlugin()
  await pass(1)
  t.equal(await verdict(token), 'state_stale')
})

await t.test('tokens of a legacy issuer, as at the service', async t => {
  const { service, verdict, pass } = await start(t)
  const om = legacyServer(service.clock)
  t.equal(await verdict(await om.token()), 'issuer_unknown')
  await importLegacyKey(service, om)
  await pass(4)
  t.equal(await verdict(await om.token()), 'ingestion-bot')
  t.equal(await verdict(await om.token({ isBot: false })), 'token_use_mismatch')
  t.equal(await verdict(await om.token({}, { kid: 'other' })), 'key_unknown')
  await service.bot('ingestion-bot', { enabled: false })
  await pass(4)
  t.equal(await verdict(await om.token()), 'bot_disabled', 'where a bot of its name is switched off')
  t.equal(await verdict(await om.token({ sub: 'other-bot' })), 'other-bot')
  await service.parts.keyOffice.revoke(om.kid, 'lost', TEST_EVENT, false)
  await pass(4)
  t.equal(await verdict(await om.token()), 'key_revoked')
})

await t.test('machine clients of the pool', async t => {
  const { service, pool, verdict, pass, wire, restartPlugin } = await start(t, { machines: { 'machine-client': { name: 'etl-bot', roles: ['Etl'], scopes: ['metadata:write'] } } })
  const machine = async (clientId: string): Promise<string> => await pool.accessToken({ username: undefined, sub: clientId, client_id: clientId })
  const [known, unknown] = [await machine('machine-client'), await machine('constructor')]
  t.equal(await verdict(known), 'etl-bot')
  t.equal(await verdict(unknown), 'machine_token_not_mapped')
  await service.bot('etl-bot', { enabled: false })
  await pass(4)
  t.equal(await verdict(known), 'bot_disabled', 'where the issuer has switched off a bot of that name')

  wire.isCut = true
  await pass(6 * 60)
  t.equal(await verdict(await machine('machine-client')), 'state_stale', 'nobody knows whether it still is')
  t.equal(await verdict(await pool.idToken()), 'alice', 'people do not depend on the feed')
  restartPlugin()
  t.equal(await verdict(await machine('machine-client')), 'keys_unavailable', 'nor whether it ever was')
})

await t.test('made-up kids: the issuer and the pool are asked once in ten seconds each', async t => {
  const { service, pool, verdict, wire } = await start(t)
  const forged = async (iss: string): Promise<string> => await pool.sign({ iss }, { kid: Math.random().toString() })
  wire.asked.length = 0
  for (let number = 0; number < 50; number++) {
    t.equal(await verdict(await forged(service.parts.config.issuer)), 'key_unknown')
    t.equal(await verdict(await forged(pool.issuer)), 'key_unknown')
  }
  t.strictSame(wire.asked.sort(), ['/.well-known/jwks.json', '/local_pool/.well-known/jwks.json'])
})

await t.test('the pool\'s keys: rotated, and out of reach', async t => {
  const { pool, verdict, pass } = await start(t, { revocationsRefreshSeconds: 60 })
  const before = await pool.idToken()
  await pool.rotate()
  const after = await pool.idToken()
  t.equal(await verdict(after), 'alice', 'a new key is asked for')
  pool.goDown()
  await pass(2 * 3600)
  for (const token of [before, after]) t.equal(await verdict(token), 'token_expired', 'their keys are known all the same')
  t.equal(await verdict(await pool.idToken()), 'alice')
})

await t.test('after the end no timer runs', async t => {
  const { stop, timers } = await start(t)
  t.equal(timers(), FETCHED)
  stop()
  t.equal(timers(), 0)
})

function idOf (token: string): [jti: string, exp: number] {
  const { jti, exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string, exp: number }
  return [jti, exp]
}

async function importLegacyKey (service: Service, { publicKey, kid }: ReturnType<typeof legacyServer>): Promise<void> {
  await service.parts.keyOffice.import({ publicKey: publicKey.export({ format: 'der', type: 'spki' }), kid, issuer: LEGACY_ISSUER }, TEST_EVENT, false)
}
