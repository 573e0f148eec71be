/** No token, no secret and no private key in a log, ever. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { Writable } from 'node:stream'
import t from 'tap'
import { buildApp } from '../src/app.ts'
import { generateSecret } from '../src/bots/secret.ts'
import { createLog, redactSecrets, type Log } from '../src/telemetry/log.ts'
import { ask } from './fakes/pool-answers.ts'
import { openToken } from './fakes/pool-forge.ts'
import { startPool } from './fakes/pool.ts'
import { startService } from './fakes/service.ts'
import { movableClock } from './fakes/clock.ts'

function capture (level = 'trace'): { log: Log, lines: () => string } {
  let text = ''
  const out = new Writable({
    write (chunk: Buffer, _encoding, done) {
      text += chunk.toString()
      done()
    }
  })
  return { log: createLog(level, out as unknown as NodeJS.WriteStream), lines: () => text }
}

const TOKEN = 'eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJpbmdlc3Rpb24tYm90In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ'
const PEM = generateKeyPairSync('rsa', { modulusLength: 2048, privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } }).privateKey

await t.test('redactSecrets', async t => {
  const secret = generateSecret()
  const secrets: Array<[string, string, string]> = [
    ['a token', `refused ${TOKEN}, sorry`, 'refused [redacted], sorry'],
    ['a token that was cut off', `got ${TOKEN.slice(0, 60)}`, 'got [redacted]'],
    ['a token without signature', `got ${TOKEN.split('.').slice(0, 2).join('.')}.`, 'got [redacted]'],
    ['a token in JSON', `{"token":"${TOKEN}"}`, '{"token":"[redacted]"}'],
    ['a token in a query', `/x?access_token=${TOKEN}&y=1`, '/x?access_token=[redacted]&y=1'],
    ['two tokens', `${TOKEN} ${TOKEN}`, '[redacted] [redacted]'],
    ['a client secret', `client_secret=${secret}&x`, 'client_secret=[redacted]&x'],
    ['a PEM', `key: ${PEM.trim()} end`, 'key: [redacted] end'],
    ['a PEM in JSON', JSON.stringify({ key: PEM.trim() }), '{"key":"[redacted]"}'],
    ['a PEM that was cut off', PEM.slice(0, 500), '[redacted]'],
    ['basic credentials', 'authorization: Basic aW5nZXN0aW9uLWJvdDpzZWNyZXQ=', 'authorization: Basic [redacted]'],
    ['an opaque bearer token', 'Bearer abcdefghijklmnop', 'Bearer [redacted]']
  ]
  for (const [name, before, after] of secrets) t.equal(redactSecrets(before), after, name)
  const old = createPrivateKey(PEM).export({ type: 'pkcs1', format: 'pem' }).toString().trim()
  t.equal(redactSecrets(`<${old}>`), '<[redacted]>', 'PKCS#1 too')
  for (const plain of ['bot ingestion-bot was made', 'WWW-Authenticate: Bearer realm="mintmark"', 'key NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs signs', 'Basic auth', '-----BEGIN PUBLIC KEY-----', '{"level":30,"time":"2026-11-22T10:00:00.000Z","msg":"listening"}']) {
    t.equal(redactSecrets(plain), plain, plain)
  }
})

await t.test('whatever is logged, wherever it stands', async t => {
  const { log, lines } = capture()
  const secret = generateSecret()
  log.info(`message ${TOKEN}`)
  log.info({ token: TOKEN, secret, client_secret: secret, clientSecret: secret, password: 'hunter2', authorization: 'Basic aHVudGVyMg==', privateKey: PEM, deep: { er: [TOKEN, secret, PEM] } }, 'object')
  log.info({ req: { headers: { authorization: `Bearer ${TOKEN}` } }, headers: { authorization: 'Basic aHVudGVyMg==' } }, 'headers')
  log.error({ err: new Error(`failed with ${secret} and ${PEM}`, { cause: new Error(TOKEN) }) }, 'error')
  log.child({ token: TOKEN, other: secret }).warn(new Error(TOKEN))
  const text = lines()
  t.equal(text.trim().split('\n').length, 5)
  for (const line of text.trim().split('\n')) t.type(JSON.parse(line), 'object', 'each line is JSON still')
  for (const leak of [TOKEN, TOKEN.split('.')[1] ?? '', secret, 'hunter2', 'aHVudGVyMg', 'PRIVATE KEY', PEM.split('\n')[3] ?? '']) t.notOk(text.includes(leak), leak.slice(0, 20))
  t.match(text, /\[redacted\]/)
})

await t.test('the level is the one that was asked for', async t => {
  const { log, lines } = capture('warn')
  log.info('quiet')
  log.warn('loud')
  t.notMatch(lines(), /quiet/)
  t.match(lines(), /loud/)
})

await t.test('a service under use', async t => {
  const time = movableClock()
  const pool = await startPool(t, time.clock)
  const service = await startService(t, pool.settings, time)
  const { log, lines } = capture()
  const app = await buildApp(service.parts, log)
  t.teardown(async () => { await app.close() })

  const client = await service.bot('ingestion-bot', { scopes: ['metadata:write'] })
  const admin = await service.adminToken()
  const bearer = (token: string): { authorization: string } => ({ authorization: `Bearer ${token}` })
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const basic = Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')

  const fetched = await ask(app, { method: 'POST', url: '/oauth/token', headers: { ...form, authorization: `Basic ${basic}` }, payload: 'grant_type=client_credentials' })
  const token = (JSON.parse(fetched.text) as { access_token: string }).access_token
  const byPost = (secret: string): string => new URLSearchParams({ grant_type: 'client_credentials', client_id: client.clientId, client_secret: secret }).toString()
  await ask(app, { method: 'POST', url: '/oauth/token', headers: form, payload: byPost(client.clientSecret) })
  await ask(app, { method: 'POST', url: '/oauth/token', headers: form, payload: byPost(`${client.clientSecret}x`) })
  await ask(app, { method: 'POST', url: '/oauth/token', headers: { ...form, authorization: `Basic ${basic}` }, payload: byPost(client.clientSecret) })
  await ask(app, { method: 'POST', url: `/oauth/token?client_secret=${client.clientSecret}`, headers: { ...form, authorization: `Bearer ${token}` }, payload: `scope=${token}` })
  const user = await pool.idToken()
  for (const each of [token, user, `${token}x`, `${token.slice(0, -9)}AAAAAAAAA`]) {
    await ask(app, { method: 'POST', url: '/verify', headers: bearer(each) })
    await ask(app, { method: 'POST', url: '/verify', payload: { token: each } })
    await ask(app, { method: 'POST', url: `/verify?token=${each}`, payload: { token: each, [each]: 1 } })
    await ask(app, { url: `/nothing/${each}`, headers: { ...bearer(each), 'x-request-id': each.slice(0, 60) } })
    await ask(app, { url: '/admin/keys', headers: bearer(each) })
    await ask(app, { method: 'GET', url: `/admin/bots/${each}`, headers: bearer(admin) })
  }
  const made = await ask(app, { method: 'POST', url: '/admin/bots/ingestion-bot/secrets', headers: bearer(admin), payload: {} })
  const { secret } = JSON.parse(made.text) as { secret: string }
  await ask(app, { method: 'POST', url: '/admin/bots', headers: bearer(admin), payload: { name: secret, displayName: token, email: `${token}@x` } })
  await ask(app, { method: 'POST', url: '/admin/keys/rotate', headers: bearer(admin), payload: { force: true } })
  await ask(app, { method: 'POST', url: '/admin/keys/rotate', headers: { ...bearer(admin), 'content-type': 'application/json' }, payload: `{"reason": "${PEM}` })
  service.parts.verifier.verify = async token => { throw new Error(`broken while looking at ${token}`) }
  t.equal((await ask(app, { method: 'POST', url: '/verify', headers: bearer(token) })).status, 500)

  const text = lines()
  t.ok(text.trim().split('\n').length > 20, 'something was logged')
  t.match(text, /broken while looking at/)
  for (const line of text.trim().split('\n')) t.type(JSON.parse(line), 'object')
  const leaks = new Map([
    ['the client secret', client.clientSecret], ['the new secret', secret], ['basic credentials', basic], ['a private key', 'PRIVATE KEY'], ['a line of it', PEM.split('\n')[3] ?? '']
  ])
  for (const [name, each] of [['bot', token], ['admin', admin], ['user', user]] as const) {
    const { parts } = openToken(each)
    leaks.set(`the payload of the ${name} token`, parts[1])
    leaks.set(`the signature of the ${name} token`, parts[2])
  }
  for (const [name, leak] of leaks) t.notOk(text.includes(leak), name)
})

await t.test('a line says when it was written, to the millisecond', async t => {
  const { log, lines } = capture()
  const before = Date.now()
  for (let line = 0; line < 3; line++) {
    log.info('x')
    await new Promise(resolve => { setTimeout(resolve, 7) })
  }
  const times = lines().trim().split('\n').map(line => (JSON.parse(line) as { time: string }).time)
  for (const time of times) {
    t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    t.ok(Date.parse(time) >= before && Date.parse(time) <= Date.now(), time)
  }
  t.equal(new Set(times).size, 3)
})
