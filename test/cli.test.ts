/** The command line (contract 9), as processes in a folder of their own, on the default settings. */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { Bot } from '../src/bots/bot.ts'
import { openToken } from './fakes/pool-forge.ts'
import { openShell, type Outcome } from './fakes/pool-processes.ts'
import { temporaryFolder } from './fakes/service.ts'

t.setTimeout(180_000)

interface ShownBot extends Omit<Bot, 'tokenTtlSeconds'> { clientId: string, clientSecret?: string, tokenTtl: string | null }
interface Secret { id: string, secret?: string, createdAt: string, expiresAt: string | null, lastUsedAt: string | null, description: string | null }
interface KeyList { now: string, keys: Array<{ kid: string, state: string }> }
interface Explanation { active: boolean, code?: string, principal?: { name: string }, checks: Array<{ name: string, outcome: string }>, unverified?: object }

const shell = openShell(t, temporaryFolder(t))

/** Wrong usage is known before anything is opened: nothing may have been made. */
const untouched = openShell(t, temporaryFolder(t))

await t.test('wrong usage: exit 2, a sentence on stderr, and nothing is touched', async t => {
  const wrong: string[][] = [
    [], ['unheard-of'], ['serve', '--unheard-of'],
    ['bot'], ['bot', 'create'], ['bot', 'create', 'Bad Name'], ['bot', 'create', 'a', 'b'], ['bot', 'create', 'a', '--ttl', '1w'],
    ['bot', 'create', 'a', '--scope', 'a b'], ['bot', 'create', 'a', '--role', ''], ['bot', 'disable', 'NOBODY'],
    ['secret', 'create', 'a', '--expires-in', 'soon'], ['secret', 'revoke', 'a'],
    ['key', 'revoke', 'abc'], ['key', 'revoke', 'abc', '--reason', ''], ['key', 'rotate', '--emergency'],
    ['key', 'replace-lost'], ['backup'], ['backup', 'a', 'b']
  ]
  const outcomes = await inTwos(wrong.map(words => async () => await untouched.run(...words)))
  for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
    const name = wrong[index]?.join(' ').slice(0, 60) ?? ''
    t.equal(code, 2, `"${name}" exits 2`)
    t.not(stderr, '', `"${name}" says why`)
    t.equal(stdout, '', `"${name}" has nothing on stdout`)
    t.notMatch(stderr, /\n {4}at /, `"${name}" shows no stack`)
  }
  t.notOk(existsSync(join(untouched.folder, 'data')), 'no database')
  t.notOk(existsSync(join(untouched.folder, 'keys')), 'no master key')
})

await t.test('help and version', async t => {
  const [help, botHelp, createHelp, version] = await inTwos([['--help'], ['bot', '--help'], ['bot', 'create', '--help'], ['--version']].map(words => async () => await untouched.run(...words)))
  for (const outcome of [help, botHelp, createHelp, version]) t.equal(outcome?.code, 0)
  for (const command of ['serve', 'bot', 'secret', 'key', 'verify', 'doctor', 'backup']) t.match(help?.stdout, new RegExp(`^ +${command}\\b`, 'm'))
  for (const command of ['create', 'list', 'show', 'enable', 'disable']) t.match(botHelp?.stdout, new RegExp(`^ +${command}\\b`, 'm'))
  for (const option of ['--role', '--scope', '--audience', '--ttl', '--admin', '--secret', '--json']) t.match(createHelp?.stdout, option)
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  t.equal(version?.stdout.trim(), manifest.version)
})

await t.test('bots', async t => {
  const created = await shell.json<ShownBot>('bot', 'create', 'ingestion-bot', '--role', 'A', '--role', 'B', '--scope', 'metadata:write', '--scope', 'metadata:read', '--audience', 'one', '--audience', 'two', '--ttl', '30m', '--secret')
  t.match(created, { name: 'ingestion-bot', clientId: 'ingestion-bot', roles: ['A', 'B'], scopes: ['metadata:write', 'metadata:read'], audiences: ['one', 'two'], tokenTtl: '30m', enabled: true, displayName: null, email: 'ingestion-bot@open-metadata.org' })
  t.match(created.clientSecret, /^mmk_[\w-]{43}[A-Za-z0-9]{6}$/)
  t.ok(statSync(join(shell.folder, 'data/mintmark.db')).isFile(), 'the database is made where the default says')
  t.equal(statSync(join(shell.folder, 'keys/master.key')).mode & 0o777, 0o600)

  const plain = await shell.json<ShownBot>('bot', 'create', 'plain-bot')
  t.strictSame(plain.audiences, ['metadata-api'])
  t.notOk('clientSecret' in plain, 'no secret unasked')
  const admin = await shell.json<ShownBot>('bot', 'create', 'admin-bot', '--admin', '--scope', 'admin', '--audience', 'metadata-api', '--audience', 'http://localhost:8590')
  t.strictSame(admin.scopes, ['admin'], 'each scope once')
  t.strictSame(admin.audiences, ['metadata-api', 'http://localhost:8590'], 'each audience once')
  const other = await shell.json<ShownBot>('bot', 'create', 'other-admin', '--admin')
  t.strictSame([other.scopes, other.audiences], [['admin'], ['metadata-api', 'http://localhost:8590']])

  const taken = await shell.run('bot', 'create', 'ingestion-bot', '--secret')
  t.equal(taken.code, 1)
  t.match(taken.stderr, /ingestion-bot already/)
  t.equal(taken.stdout, '')
  t.equal((await shell.json<{ secrets: Secret[] }>('secret', 'list', 'ingestion-bot')).secrets.length, 1, 'and it changes nothing')

  const { bots, next } = await shell.json<{ bots: ShownBot[], next: null }>('bot', 'list')
  t.strictSame(bots.map(bot => bot.name), ['admin-bot', 'ingestion-bot', 'other-admin', 'plain-bot'])
  t.equal(next, null)
  const { clientSecret: _, ...shown } = created
  t.strictSame(await shell.json('bot', 'show', 'ingestion-bot'), shown)
  const text = await shell.run('bot', 'show', 'ingestion-bot')
  t.match(text.stdout, /ingestion-bot[^]*enabled[^]*metadata:write/)
  t.notMatch(text.stdout, /mmk_/)

  t.match(await shell.json('bot', 'disable', 'plain-bot'), { name: 'plain-bot', enabled: false })
  t.match(await shell.json('bot', 'show', 'plain-bot'), { enabled: false })
  t.match(await shell.json('bot', 'enable', 'plain-bot'), { enabled: true })
  for (const verb of ['show', 'enable', 'disable']) {
    const missing = await shell.run('bot', verb, 'nobody')
    t.equal(missing.code, 1)
    t.match(missing.stderr, /no bot named nobody/)
    t.equal(missing.stdout, '')
  }
})

await t.test('secrets', async t => {
  const made = await shell.json<Secret>('secret', 'create', 'plain-bot', '--expires-in', '1h', '--description', 'nightly')
  t.strictSame(Object.keys(made).sort(), ['createdAt', 'description', 'expiresAt', 'id', 'secret'])
  t.equal(Date.parse(made.expiresAt ?? '') - Date.parse(made.createdAt), 3_600_000)
  const text = await shell.run('secret', 'create', 'plain-bot')
  t.equal(text.code, 0)
  t.match(text.stdout, /^mmk_\S{49}$/m)

  const { secrets } = await shell.json<{ secrets: Secret[] }>('secret', 'list', 'plain-bot')
  t.equal(secrets.length, 2)
  t.match(secrets.find(secret => secret.id === made.id), { description: 'nightly', lastUsedAt: null })
  for (const secret of secrets) t.notOk('secret' in secret)
  t.equal((await shell.run('secret', 'revoke', 'plain-bot', made.id)).code, 0)
  t.equal((await shell.json<{ secrets: Secret[] }>('secret', 'list', 'plain-bot')).secrets.length, 1)
  const again = await shell.run('secret', 'revoke', 'plain-bot', made.id)
  t.equal(again.code, 1)
  t.match(again.stderr, /no secret/)
  for (const words of [['secret', 'create', 'nobody'], ['secret', 'list', 'nobody'], ['secret', 'revoke', 'nobody', 'x']]) {
    const missing = await shell.run(...words)
    t.equal(missing.code, 1, words.join(' '))
    t.not(missing.stderr, '')
  }
})

await t.test('keys', async t => {
  const before = await shell.json<KeyList>('key', 'list')
  t.strictSame(before.keys.map(key => key.state).sort(), ['pending', 'signing'])
  const [signing, pending] = ['signing', 'pending'].map(state => before.keys.find(key => key.state === state)?.kid ?? '')
  t.match((await shell.run('key', 'list')).stdout, new RegExp(`${signing ?? ''} +signing`))

  const scheduled = await shell.json<{ effectiveAt: string, signing: string, next: string }>('key', 'rotate')
  t.match(scheduled, { signing, next: pending })
  t.ok(Date.parse(scheduled.effectiveAt) > Date.now() + 23 * 3_600_000)
  t.match(await shell.json('key', 'rotate', '--force'), { signing: pending })
  const emergency = await shell.json<{ signing: string }>('key', 'rotate', '--emergency', '--reason', 'laptop stolen')
  t.not(emergency.signing, pending)
  const after = await shell.json<KeyList>('key', 'list')
  t.equal(after.keys.find(key => key.kid === pending)?.state, 'revoked')
  t.equal(after.keys.find(key => key.kid === signing)?.state, 'retired')

  t.match(await shell.json('key', 'revoke', signing ?? '', '--reason', 'old'), { kid: signing, state: 'revoked', revokedReason: 'old' })
  t.match(await shell.json('key', 'revoke', signing ?? '', '--reason', 'again'), { revokedReason: 'old' }, 'revoked already: well, too')
  for (const words of [['key', 'revoke', '-abc', '--reason', 'x'], ['key', 'revoke', '--abc', '--reason', 'x'], ['key', 'revoke', '--reason', 'x', '-_b'], ['key', 'revoke', 'abc', '--reason', '-x']]) {
    const { code, stderr } = await shell.run(...words)
    t.equal(code, 1, words.join(' '))
    t.match(stderr, /no key/, 'a kid may begin with a dash')
  }
})

await t.test('verify, and a server that obeys', async t => {
  const server = await shell.serve()
  const { clientSecret = '' } = await shell.json<ShownBot>('bot', 'create', 'served-bot', '--scope', 'metadata:write', '--secret')
  const fetchToken = async (): Promise<Response> => await fetch(`${server.url}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: 'served-bot', client_secret: clientSecret }) })
  const token = ((await (await fetchToken()).json()) as { access_token: string }).access_token
  const verdict = async (): Promise<string> => {
    const response = await fetch(`${server.url}/verify`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
    return response.ok ? 'good' : ((await response.json()) as { code: string }).code
  }
  /** Waits until the server says it; by the contract two seconds will do. */
  const saysWithin = async (wanted: string, milliseconds: number): Promise<string> => {
    const deadline = Date.now() + milliseconds
    let said = await verdict()
    while (said !== wanted && Date.now() < deadline) {
      await new Promise(resolve => { setTimeout(resolve, 50) })
      said = await verdict()
    }
    return said
  }
  t.equal(await verdict(), 'good')

  const explained = JSON.parse((await shell.runWith({ settings: { MINTMARK_PORT: new URL(server.url).port } }, 'verify', token, '--json')).stdout) as Explanation
  t.match(explained, { active: true, principal: { name: 'served-bot' } })
  t.ok(explained.checks.length > 10)
  t.ok(explained.checks.every(check => check.outcome === 'passed'))
  const settings = { MINTMARK_PORT: new URL(server.url).port }
  t.match(await shell.runWith({ settings }, 'verify', token), { code: 0, stdout: /^good: bot served-bot/ })
  t.match(await shell.runWith({ settings, stdin: `${token}\n` }, 'verify', '-'), { code: 0 }, 'from stdin')
  t.match(await shell.runWith({ settings, stdin: token }, 'verify'), { code: 0 }, 'unsaid, from stdin too')
  const altered = `${token.slice(0, -10)}${token.endsWith('AAAAAAAAAA') ? 'BBBBBBBBBA' : 'AAAAAAAAAA'}`
  t.match(await shell.runWith({ settings }, 'verify', altered), { code: 1, stdout: /signature_invalid/ })
  const refused = await shell.runWith({ settings }, 'verify', altered, '--json')
  t.equal(refused.code, 1)
  const explanation = JSON.parse(refused.stdout) as Explanation
  t.match(explanation, { active: false, code: 'signature_invalid', unverified: { payload: { sub: 'served-bot' } } })
  t.notOk('principal' in explanation)
  t.strictSame(explanation.checks.filter(check => check.outcome === 'failed').map(check => check.name), ['signature'])
  t.equal(explanation.checks.at(-1)?.outcome, 'skipped')
  t.match(await shell.runWith({ settings, stdin: 'nonsense' }, 'verify', '--json'), { code: 1, stdout: /token_malformed/ })
  t.match(await shell.runWith({ settings, stdin: '' }, 'verify'), { code: 1, stdout: /token_missing/ })

  await shell.run('bot', 'disable', 'served-bot')
  t.equal(await saysWithin('bot_disabled', 2000), 'bot_disabled', 'disabled within two seconds')
  t.equal((await fetchToken()).status, 401)
  await shell.run('bot', 'enable', 'served-bot')
  t.equal(await saysWithin('good', 2000), 'good')
  await shell.run('key', 'revoke', String(openToken(token).header.kid), '--reason', 'lost')
  t.equal(await saysWithin('key_revoked', 2000), 'key_revoked', 'and so is a key')
  t.equal((await fetchToken()).status, 200, 'it goes on with the next key')

  const ended = await server.end('SIGTERM')
  t.equal(ended.code, 0)
  t.ok(ended.milliseconds < 10_000)
  const log = ended.stdout + ended.stderr
  t.notOk(log.includes(clientSecret) || log.includes(token.split('.')[2] ?? ''), 'nothing secret in the log')
})

await t.test('a second start changes nothing', async t => {
  const own = openShell(t, temporaryFolder(t))
  const first = await own.serve()
  t.match(first.output(), /nobody is admin yet[^]*bot create/, 'it says how to begin')
  const jwks = await (await fetch(`${first.url}/.well-known/jwks.json`)).text()
  t.equal((await first.end('SIGINT')).code, 0, 'Ctrl-C ends it cleanly')
  const masterKey = readFileSync(join(own.folder, 'keys/master.key'), 'utf8')

  const startedAt = Date.now()
  const second = await own.serve()
  t.comment(`ready after ${Date.now() - startedAt} ms, of the five seconds that are promised`)
  t.equal(await (await fetch(`${second.url}/.well-known/jwks.json`)).text(), jwks, 'the same keys')
  t.equal(readFileSync(join(own.folder, 'keys/master.key'), 'utf8'), masterKey)
  const { bots } = await own.json<{ bots: ShownBot[] }>('bot', 'list')
  t.strictSame(bots, [])
  t.equal((await second.end('SIGTERM')).code, 0)
})

await t.test('what was accepted is answered, and then it ends', async t => {
  const own = openShell(t, temporaryFolder(t))
  const server = await own.serve()
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk: Buffer) => { answer += chunk.toString() }).on('error', () => { /* seen by what is missing */ })
  socket.write('POST /verify HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{"token"')
  await new Promise(resolve => { setTimeout(resolve, 200) })
  const end = server.end('SIGTERM')
  await new Promise(resolve => { setTimeout(resolve, 300) })
  await t.rejects(fetch(server.url), 'it accepts no more')
  socket.write(':"x"}')
  const ended = await end
  t.match(answer, /^HTTP\/1\.1 401 [^]*token_malformed/, 'the request that was under way is answered')
  t.equal(ended.code, 0)
  t.ok(ended.milliseconds < 5000, `its connection, kept alive, does not hold the end up: ${ended.milliseconds} ms`)
})

await t.test('a connection on which nothing was said does not hold the end up', async t => {
  const own = openShell(t, temporaryFolder(t))
  const server = await own.serve()
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => { /* it is cut off */ })
  t.teardown(() => { socket.destroy() })
  await new Promise(resolve => { setTimeout(resolve, 200) })
  const ended = await server.end('SIGINT')
  t.equal(ended.code, 0)
  t.ok(ended.milliseconds < 10_000)
})

await t.test('wrong settings: every fault on stderr, exit 1', async t => {
  const own = openShell(t, temporaryFolder(t))
  for (const words of [['serve'], ['bot', 'list']]) {
    const { code, stdout, stderr } = await own.runWith({ settings: { MINTMARK_PORT: '0', LOG_LEVEL: 'loud', MINTMARK_MASTER_KEY: 'hunter2' } }, ...words)
    t.equal(code, 1)
    t.equal(stdout, '')
    t.strictSame(stderr.trim().split('\n').map(line => line.split(' ')[0]).sort(), ['LOG_LEVEL', 'MINTMARK_MASTER_KEY', 'MINTMARK_PORT'])
    t.notMatch(stderr, /hunter2/)
  }
  t.notOk(existsSync(join(own.folder, 'data')), 'and nothing is made')
})

await t.test('a port that is in use', async t => {
  const server = createServer()
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.close() })
  const { code, stderr } = await shell.runWith({ settings: { MINTMARK_PORT: String((server.address() as AddressInfo).port) } }, 'serve')
  t.equal(code, 1)
  t.match(stderr, /in use/)
  t.equal(stderr.trim().split('\n').length, 1, 'a sentence')
})

await t.test('a master key that is wrong or missing: a sentence, and nothing is overwritten', async t => {
  const own = openShell(t, temporaryFolder(t))
  await own.run('bot', 'create', 'a-bot')
  const file = join(own.folder, 'keys/master.key')
  const [key, database] = [readFileSync(file, 'utf8'), join(own.folder, 'data/mintmark.db')]
  const sentence = async (message: string, settings: Record<string, string> = {}): Promise<void> => {
    const { code, stdout, stderr } = await own.runWith({ settings }, 'bot', 'list')
    t.equal(code, 1, message)
    t.equal(stdout, '')
    t.match(stderr, /master key/i, message)
    t.equal(stderr.trim().split('\n').length, 1, `${message}: one line`)
  }
  rmSync(file)
  await sentence('missing')
  t.notOk(existsSync(file), 'none is made beside a database')
  writeFileSync(file, `${'b'.repeat(42)}A\n`)
  await sentence('another one')
  writeFileSync(file, 'nonsense')
  await sentence('nonsense')
  t.equal(readFileSync(file, 'utf8'), 'nonsense')
  await sentence('another one in the settings', { MINTMARK_MASTER_KEY: `${'b'.repeat(42)}A` })
  writeFileSync(file, key)
  t.equal((await own.json<{ bots: ShownBot[] }>('bot', 'list')).bots.length, 1, 'all is well with the right one')
  t.ok(existsSync(database))
  t.match(await own.runWith({ settings: { MINTMARK_MASTER_KEY: key.trim() } }, 'bot', 'list'), { code: 0 }, 'or with the same from the settings')
})

await t.test('a database that cannot be opened', async t => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'file'), 'this is no database, and long enough to be taken for one if one only looks at its length '.repeat(20))
  const own = openShell(t, folder)
  for (const url of ['sqlite:file', 'sqlite:file/below.db']) {
    const { code, stderr } = await own.runWith({ settings: { MINTMARK_DATABASE_URL: url, MINTMARK_MASTER_KEY: `${'b'.repeat(42)}A` } }, 'bot', 'list')
    t.equal(code, 1, url)
    t.equal(stderr.trim().split('\n').length, 1, `${url}: a sentence`)
  }
  const { code, stderr } = await own.runWith({ settings: { MINTMARK_DATABASE_URL: 'sqlite:file', MINTMARK_MASTER_KEY: `${'b'.repeat(42)}A` } }, 'key', 'rotate', '--emergency')
  t.equal(code, 2, `wrong usage is known without the database: ${stderr}`)
})

/** Two at a time: as many as there are cores to run them on. */
async function inTwos (works: Array<() => Promise<Outcome>>): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (let index = 0; index < works.length; index += 2) outcomes.push(...await Promise.all(works.slice(index, index + 2).map(async work => await work())))
  return outcomes
}

await t.test('a dry run makes nothing, not even the keys of a new ring', async t => {
  const folder = temporaryFolder(t)
  const fresh = openShell(t, folder)
  await fresh.run('bot', 'create', 'a-bot') // the database, and its first keys
  const rings = async (): Promise<unknown> => (await fresh.json<KeyList>('key', 'list')).keys
  const before = await rings()
  const impatient = { MINTMARK_ROTATE_EVERY: '4s', MINTMARK_PUBLISH_AHEAD: '3s', MINTMARK_JWKS_MAX_AGE: '1s', MINTMARK_CLOCK_TOLERANCE: '0s', MINTMARK_TOKEN_TTL: '30d', MINTMARK_MAX_TOKEN_TTL: '90d' }
  const other = openShell(t, folder, impatient)
  for (const command of [['key', 'rotate'], ['key', 'reseal'], ['key', 'rotate', '--force']]) {
    const { code, stderr } = await other.run(...command, '--dry-run')
    t.equal(code, 0, stderr)
  }
  t.strictSame(await rings(), before, 'whatever settings it is run with')
})
