/** docs/deploy-bare-metal.md is run, and systemd, nginx and Caddy read what it gives them. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { readConfig } from '../src/config.ts'
import { examplesOf, runExamples } from './fakes/examples.ts'
import { bareMachine } from './fakes/machine.ts'
import { temporaryFolder } from './fakes/service.ts'
import { freePort, freshShell } from './fakes/shell.ts'

t.setTimeout(240_000)

const page = readFileSync(new URL('../docs/deploy-bare-metal.md', import.meta.url), 'utf8')
const unit = readFileSync(new URL('../deploy/systemd/mintmark.service', import.meta.url), 'utf8')
const examples = examplesOf(page)
const blockOf = (language: string): string => examples.find(example => example.language === language)?.text ?? ''
const ENVIRONMENT_GENERATOR = '/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator'

const has = (program: string, ...words: string[]): boolean => spawnSync(program, words, { stdio: 'ignore' }).error === undefined
const unless = (there: boolean, what: string): string | false => there ? false : `there is no ${what} here`

await t.test('its commands, from the first start to a restored backup', async t => {
  const port = String(await freePort())
  const machine = bareMachine(t)
  writeFileSync(join(machine.folder, 'cognito.env'), `${blockOf('ini')}MINTMARK_PORT=${port}\n`)
  const shell = freshShell(machine.folder, { PATH: [machine.programs, process.env.PATH].join(delimiter) })
  await runExamples(t, shell, examplesOf(machine.relocate(page.replaceAll('8590', port))))
})

await t.test('systemd-analyze', { skip: unless(has('systemd-analyze', '--version'), 'systemd') }, async t => {
  const folder = temporaryFolder(t)
  const program = join(folder, 'mintmark')
  writeFileSync(program, '#!/bin/sh\n')
  chmodSync(program, 0o755)
  const file = join(folder, 'mintmark.service')
  writeFileSync(file, unit.replace('/opt/mintmark/bin/mintmark', program))

  const verified = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' })
  t.strictSame({ status: verified.status, stderr: verified.stderr }, { status: 0, stderr: '' }, 'verify finds nothing')
  const judged = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', '--threshold=11', file], { encoding: 'utf8' })
  t.equal(judged.status, 0, judged.stdout)
  t.equal(/exposure level for mintmark\.service: ([\d.]+)/.exec(judged.stdout)?.[1], /an exposure of ([\d.]+)/.exec(page)?.[1], 'the page says the same')
})

await t.test('the unit keeps its promises to the service', async t => {
  for (const text of [page, unit]) t.ok(Number(/systemd (\d+) or newer/.exec(text)?.[1]) >= 251, 'of %d an older systemd knows nothing: the service would make a master key of its own')
  const valueOf = (name: string): string | undefined => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1]
  t.ok(Number(valueOf('TimeoutStopSec')) > 10, 'whoever was accepted is answered: contract, 10 seconds')
  t.equal(valueOf('KillMode'), 'mixed', 'only the first process is told to end: workers are its own business')
  t.equal(valueOf('WatchdogSec'), undefined)
  t.strictSame(unit.match(/^Environment=.*$/gm), ['Environment="NODE_OPTIONS=--max-semi-space-size=16 --v8-pool-size=1"', 'Environment=MINTMARK_MASTER_KEY_FILE=%d/master-key'])
})

await t.test('systemd and .env read the same settings from the guide\'s file', { skip: unless(has(ENVIRONMENT_GENERATOR), 'systemd') }, async t => {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'environment.d'))
  writeFileSync(join(folder, 'environment.d/guide.conf'), blockOf('ini'))
  const read = execFileSync('bash', ['-c', `set -a; . <(${ENVIRONMENT_GENERATOR}); env -0`], { env: { PATH: process.env.PATH, XDG_CONFIG_HOME: folder } })
  const variables = Object.fromEntries(read.toString().split('\0').filter(line => line.startsWith('AUTH')).map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
  t.match(variables.AUTHENTICATION_CLIENT_ID, / # Update/, 'systemd leaves the comment in the value')
  t.strictSame(readConfig(variables), readConfig(parseEnv(blockOf('ini'))))
})

await t.test('nginx reads its configuration', { skip: unless(has('nginx', '-v') && has('openssl', 'version'), 'nginx') }, async t => {
  const folder = temporaryFolder(t)
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=tokens.example.com', '-keyout', 'key.pem', '-out', 'certificate.pem'], { cwd: folder, stdio: 'ignore' })
  const server = blockOf('nginx').replace(/\/etc\/ssl\/tokens.*\.pem/, join(folder, 'certificate.pem')).replace(/\/etc\/ssl\/private.*\.key/, join(folder, 'key.pem'))
  writeFileSync(join(folder, 'nginx.conf'), `pid nginx.pid; error_log stderr; events {} http { access_log off; ${server} }`)
  const { status, stderr } = spawnSync('nginx', ['-t', '-p', folder, '-e', 'stderr', '-c', 'nginx.conf'], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
})

await t.test('Caddy reads its configuration', { skip: unless(has('caddy', 'version'), 'Caddy') }, async t => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'Caddyfile'), blockOf('caddyfile'))
  const adapted = spawnSync('caddy', ['adapt', '--config', 'Caddyfile'], { cwd: folder, encoding: 'utf8' })
  t.match(JSON.parse(adapted.stdout), { apps: { http: { servers: { srv0: { listen: [':443'] } } } } }, adapted.stderr)
})
