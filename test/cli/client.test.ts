/** `mintmark token` and `mintmark agent` as processes, where nothing but the address and a credential is known. */
import { spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { openToken } from '../fakes/pool-forge.ts'
import { openShell, type Outcome } from '../fakes/pool-processes.ts'
import { temporaryFolder } from '../fakes/service.ts'
import { freePort } from '../fakes/shell.ts'

t.setTimeout(180_000)

const CLI = resolve('src/cli.ts')
const server = openShell(t, temporaryFolder(t), { MINTMARK_ISSUER: 'https://tokens.example.com' })
const { clientSecret } = await server.json<{ clientSecret: string }>('bot', 'create', 'ingestion-bot', '--scope', 'read', '--scope', 'write', '--audience', 'one', '--audience', 'two', '--secret')
const { url } = await server.serve()

const settings = { MINTMARK_URL: url, MINTMARK_CLIENT_ID: 'ingestion-bot', MINTMARK_CLIENT_SECRET_FILE: 'secret' }
/** The service's own settings are faulty here: a client does not look at them. */
const FAULTY = { MINTMARK_PORT: '0', MINTMARK_DATABASE_URL: 'nonsense', MINTMARK_MASTER_KEY: 'hunter2' }

interface Client {
  folder: string
  run: (...words: string[]) => Promise<Outcome>
  runWith: (more: Record<string, string>, ...words: string[]) => Promise<Outcome>
  start: (...words: string[]) => Running
}

interface Running { child: ChildProcess, output: () => { stdout: string, stderr: string }, ended: Promise<number | null> }

function openClient (t: Test, more: Record<string, string> = {}): Client {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'secret'), `${clientSecret}\n`)
  const shell = openShell(t, folder, { ...settings, ...FAULTY, ...more })
  return {
    folder,
    run: shell.run,
    runWith: async (more, ...words) => await shell.runWith({ settings: more }, ...words),
    start (...words) {
      const child = spawn(process.execPath, [CLI, ...words], { cwd: folder, env: { PATH: process.env.PATH, ...settings, ...FAULTY, ...more }, stdio: ['ignore', 'pipe', 'pipe'] })
      t.teardown(() => { child.kill('SIGKILL') })
      const output = { stdout: '', stderr: '' }
      child.stdout.on('data', (chunk: Buffer) => { output.stdout += chunk.toString() })
      child.stderr.on('data', (chunk: Buffer) => { output.stderr += chunk.toString() })
      return { child, output: () => output, ended: once(child, 'close').then(([code]) => code as number | null) }
    }
  }
}

async function until (happened: () => boolean): Promise<void> {
  while (!happened()) await new Promise(resolve => { setTimeout(resolve, 25) })
}

await t.test('token: a token on stdout, and nothing else there', async t => {
  const client = openClient(t)
  const plain = await client.run('token')
  t.match(plain, { code: 0, stderr: '' })
  t.match(openToken(plain.stdout.trim()).payload, { sub: 'ingestion-bot', scope: 'read write', aud: ['one', 'two'] })
  t.equal(plain.stdout.trim().split('\n').length, 1)

  const json = await client.run('token', '--json', '--scope', 'read', '--audience', 'two', '--pipeline', 'nightly', '--run', '17')
  const shown = JSON.parse(json.stdout) as { token: string, tokenId: string, expiresAt: string }
  t.strictSame(Object.keys(shown), ['token', 'tokenId', 'expiresAt'])
  const { payload } = openToken(shown.token)
  t.match(payload, { scope: 'read', aud: 'two', pipeline: 'nightly', run_id: '17', jti: shown.tokenId })
  t.equal(Date.parse(shown.expiresAt) / 1000, payload.exp)

  t.match(await client.runWith({ MINTMARK_CLIENT_SECRET_FILE: '', MINTMARK_CLIENT_SECRET: clientSecret, MINTMARK_URL: 'http://127.0.0.1:1' }, 'token', '--url', url, '--client-id', 'ingestion-bot'), { code: 0 }, 'by options, and a secret of the environment')
  t.notOk(existsSync(join(client.folder, 'data')), 'no database is made')
})

await t.test('token by a key, and one that is refused', async t => {
  const client = openClient(t)
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(join(client.folder, 'key.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }))
  const admin = await server.json<{ clientSecret: string }>('bot', 'create', 'admin-bot', '--admin', '--secret')
  const basic = `Basic ${Buffer.from(`admin-bot:${admin.clientSecret}`).toString('base64')}`
  const answer = await (await fetch(`${url}/oauth/token`, { method: 'POST', headers: { authorization: basic }, body: new URLSearchParams({ grant_type: 'client_credentials' }) })).json() as { access_token: string }
  const unregistered = await client.run('token', '--key', 'key.pem')
  t.match(unregistered, { code: 1, stdout: '', stderr: /invalid_client/ })
  const put = await fetch(`${url}/admin/bots/ingestion-bot/jwks`, { method: 'PUT', headers: { authorization: `Bearer ${answer.access_token}`, 'content-type': 'application/json' }, body: JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] }) })
  t.equal(put.status, 200)
  t.match(await client.run('token', '--key', 'key.pem'), { code: 0, stdout: /^eyJ/ })
})

await t.test('wrong usage: exit 2; a refusal: exit 1; no secret is repeated', async t => {
  const client = openClient(t)
  const bare = { MINTMARK_URL: '', MINTMARK_CLIENT_ID: '', MINTMARK_CLIENT_SECRET_FILE: '' }
  const cases: Array<[code: number, why: RegExp, words: string[], more?: Record<string, string>]> = [
    [2, /command line can be read by every user/, ['token', `--client-secret=${clientSecret}`]],
    [2, /command line can be read by every user/, ['agent', '--out', 'x', '--secret', clientSecret]],
    [2, /--url or MINTMARK_URL/, ['token'], bare],
    [2, /--client-id or MINTMARK_CLIENT_ID/, ['token', '--url', url], bare],
    [2, /MINTMARK_CLIENT_SECRET_FILE .*--key or --subject-token-file/, ['token', '--url', url, '--client-id', 'a'], bare],
    [2, /https address/, ['token', '--url', 'http://tokens.example.com']],
    [2, /keep one of them/, ['token', '--key', 'a', '--subject-token-file', 'b']],
    [2, /--kid goes with --key/, ['token', '--kid', 'a']],
    [2, /Allowed choices are/, ['token', '--subject-token-type', 'saml']],
    [2, /--out/, ['agent']],
    [2, /a command follows --exec/, ['agent', '--out', 'x', 'env']],
    [2, /--exec takes a command/, ['agent', '--exec']],
    [2, /--exec-var/, ['agent', '--out', 'x', '--exec-var', 'A']],
    [2, /environment variable/, ['agent', '--exec-var', 'A-B', '--exec', 'env']],
    [2, /octal/, ['agent', '--out', 'x', '--mode', 'rw']],
    [2, /nobody but its owner/, ['agent', '--out', 'x', '--mode', '0666']],
    [1, /MINTMARK_URL takes/, ['token'], { MINTMARK_URL: 'nonsense' }],
    [1, /keep one of them/, ['token'], { MINTMARK_CLIENT_SECRET: 'both' }],
    [1, /invalid_client/, ['token'], { MINTMARK_CLIENT_SECRET_FILE: '', MINTMARK_CLIENT_SECRET: 'mmk_wrong' }],
    [1, /invalid_scope/, ['token', '--scope', 'admin']],
    [1, /MINTMARK_CLIENT_SECRET_FILE takes a readable file/, ['token'], { MINTMARK_CLIENT_SECRET_FILE: 'nowhere' }],
    [1, /--subject-token-file takes a readable file/, ['token', '--subject-token-file', 'nowhere']],
    [1, /the folder .*nowhere is not there/, ['agent', '--out', 'nowhere/token']],
    [1, /cannot be started/, ['agent', '--exec', 'no-such-program']],
    [1, /invalid_scope/, ['agent', '--once', '--out', 'x', '--scope', 'admin']]
  ]
  for (const [code, why, words, more = {}] of cases) {
    const outcome = await client.runWith(more, ...words)
    const name = words.join(' ').replace(clientSecret, '…')
    t.equal(outcome.code, code, name)
    t.match(outcome.stderr, why, name)
    t.equal(outcome.stdout, '', name)
    t.notOk(outcome.stderr.includes(clientSecret) || /\n {4}at /.test(outcome.stderr), `${name}: no secret, no stack`)
  }
  t.strictSame(readdirSync(client.folder), ['secret'], 'nothing is written')
})

await t.test('agent --once', async t => {
  const client = openClient(t)
  const { code, stdout, stderr } = await client.run('agent', '--once', '--out', 'token', '--json')
  t.equal(code, 0)
  const token = readFileSync(join(client.folder, 'token'), 'utf8')
  t.match(openToken(token).payload, { sub: 'ingestion-bot' })
  t.equal(statSync(join(client.folder, 'token')).mode & 0o777, 0o600)
  t.match(JSON.parse(stdout), { file: join(client.folder, 'token'), expiresAt: /Z$/ })
  t.match(stderr, /a token is in [^"]*, good until/)
  t.notOk(stderr.includes(token.slice(-40)))
  t.equal((await client.run('agent', '--once', '--out', 'token', '--mode', '0640')).code, 0)
  t.equal(statSync(join(client.folder, 'token')).mode & 0o777, 0o640)
})

await t.test('agent: keeps it, until a signal ends it', async t => {
  const client = openClient(t)
  const file = join(client.folder, 'token')
  const { child, output, ended } = client.start('agent', '--out', 'token')
  await until(() => existsSync(file) && output().stderr.includes('the next one comes at'))
  child.kill('SIGTERM')
  t.equal(await ended, 0)
  t.match(output(), { stdout: '', stderr: /ended by SIGTERM/ })
  t.match(readFileSync(file, 'utf8'), /^eyJ/, 'the last token stays')
})

await t.test('agent: waits for a service that is away, and a signal ends the wait', async t => {
  const client = openClient(t, { MINTMARK_URL: `http://127.0.0.1:${await freePort()}` })
  for (const [signal, ...words] of [['SIGTERM', '--out', 'token'], ['SIGINT', '--out', 'token']] as const) {
    const { child, output, ended } = client.start('agent', ...words)
    await until(() => output().stderr.includes('cannot be reached'))
    child.kill(signal)
    t.equal(await ended, 0)
  }
  const { child, output, ended } = client.start('agent', '--exec', 'true')
  await until(() => output().stderr.includes('cannot be reached'))
  child.kill('SIGTERM')
  t.equal(await ended, 143, 'a command that has not run has not succeeded')
})

await t.test('agent --exec: the token in the environment, no secret there, the exit code of the command', async t => {
  const client = openClient(t)
  const seen = await client.runWith({ MINTMARK_CLIENT_SECRET_FILE: '', MINTMARK_CLIENT_SECRET: clientSecret }, 'agent', '--exec', 'sh', '-c', 'echo "$OM_JWT_TOKEN"; env | grep -c "^MINTMARK_CLIENT_SECRET=."; exit 7')
  const [token, secrets] = seen.stdout.split('\n')
  t.equal(seen.code, 7)
  t.match(openToken(token ?? '').payload, { sub: 'ingestion-bot' })
  t.equal(secrets, '0')
  t.match(await client.run('agent', '--exec-var', 'TOKEN', '--exec', 'sh', '-c', 'echo "$1 $TOKEN"', '--', '--once'), { code: 0, stdout: /^--once eyJ/ }, 'options after the command are the command\'s')

  const both = await client.run('agent', '--out', 'token', '--exec', 'sh', '-c', 'test "$OM_JWT_TOKEN" = "$(cat token)"')
  t.equal(both.code, 0, 'the same in the file')
})

await t.test('agent --exec: signals go to the command', async t => {
  const client = openClient(t)
  const script = join(client.folder, 'job')
  writeFileSync(script, '#!/bin/sh\ntrap "echo tidy; exit 5" TERM\ntrap "echo again" HUP\necho ready\nwhile :; do sleep 0.05; done\n')
  chmodSync(script, 0o755)
  const job = client.start('agent', '--out', 'token', '--exec', script)
  await until(() => job.output().stdout.includes('ready'))
  job.child.kill('SIGHUP')
  await until(() => job.output().stdout.includes('again'))
  job.child.kill('SIGTERM')
  t.equal(await job.ended, 5)
  t.match(job.output().stdout, /tidy/)

  const killed = client.start('agent', '--exec', 'sh', '-c', 'echo ready; exec sleep 60')
  await until(() => killed.output().stdout.includes('ready'))
  killed.child.kill('SIGTERM')
  t.equal(await killed.ended, 143)
})

await t.test('agent --exec: a command that runs goes on when there are no more tokens', async t => {
  await server.run('bot', 'create', 'short-bot', '--ttl', '5s')
  const { secret } = await server.json<{ secret: string }>('secret', 'create', 'short-bot')
  const client = openClient(t, { MINTMARK_CLIENT_ID: 'short-bot' })
  writeFileSync(join(client.folder, 'secret'), secret)
  const job = client.start('agent', '--out', 'token', '--exec', 'sh', '-c', 'echo ready; while [ ! -e stop ]; do sleep 0.05; done; exit 3')
  await until(() => job.output().stdout.includes('ready'))
  await server.run('bot', 'disable', 'short-bot')
  await until(() => job.output().stderr.includes('the token is not renewed any more; the command runs on'))
  t.match(job.output().stderr, /no new token: [^"]*invalid_client/)
  writeFileSync(join(client.folder, 'stop'), '')
  t.equal(await job.ended, 3)
})
