/** compose.yaml: it is valid and hardened, its parts fit together, and mintmark starts with what it is given. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { SETTINGS } from '../../src/settings.ts'
import { compose, composeEnvironment } from '../fakes/compose.ts'
import { examplesOf } from '../fakes/examples.ts'
import { temporaryFolder } from '../fakes/service.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const PAGE = readFileSync(join(ROOT, 'docs/deploy-docker.md'), 'utf8')
const SCRIPT = join(ROOT, 'deploy/docker/make-secrets')

/** Its own types name files without their ending, and so say nothing. */
const { DCLinter } = createRequire(import.meta.url)('dclint') as { DCLinter: new (config: object) => { lintFiles: (paths: string[], recursive: boolean) => Array<{ messages: Array<{ line: number, message: string }> }> } }

const { services, secrets, networks } = compose

await t.test('the file is valid', async t => {
  // The order of keys is ours to choose; "build" beside "image" names what is built.
  const ofTaste = ['no-build-and-image', 'service-keys-order', 'service-dependencies-alphabetical-order', 'services-alphabetical-order', 'top-level-properties-order']
  const rules = { ...Object.fromEntries(ofTaste.map(rule => [rule, 0 as const])), 'require-quotes-in-ports': [1, { quoteType: 'double' }] }
  const linter = new DCLinter({ rules, quiet: false, debug: false, exclude: [] })
  const results = linter.lintFiles([join(ROOT, 'compose.yaml')], false)
  t.strictSame(results.flatMap(({ messages }) => messages.map(({ line, message }) => `${line}: ${message}`)), [])
  t.equal(results.length, 1)
})

await t.test('every container is hardened', async t => {
  for (const [name, service] of Object.entries(services)) {
    t.match(service, { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'], restart: 'unless-stopped' }, name)
    t.ok(service.build !== undefined || /:\d/.test(service.image), `${name}: a version is named`)
  }
  t.strictSame(Object.keys(services).filter(name => services[name]?.cap_add !== undefined), ['postgres'])
  const published = Object.values(services).flatMap(({ ports = [] }) => ports)
  t.strictSame(published, ['127.0.0.1:8585:8585', '127.0.0.1:8590:8590'], 'for this machine only')
  t.match(services.mintmark, { deploy: { replicas: 2 }, init: true, env_file: 'openmetadata_cognito.env' })
})

await t.test('its parts fit together', async t => {
  const mounted = Object.values(services).flatMap(({ volumes = [] }) => volumes).filter(volume => volume.startsWith('./')).map(volume => volume.split(':')[0] ?? '')
  t.strictSame(mounted, ['./deploy/docker/nginx.conf', './deploy/docker/metadata-api.conf'])
  t.strictSame(mounted.filter(file => !existsSync(join(ROOT, file))), [])
  t.equal(networks.front?.ipam?.config[0]?.subnet, composeEnvironment().MINTMARK_TRUST_PROXY, 'nginx is trusted')
  t.equal(networks.back?.internal, true)
  t.strictSame(Object.keys(services).filter(name => services[name]?.networks.includes('back')), ['mintmark', 'postgres'], 'nobody else reaches the database')
})

await t.test('every setting that a file or a page of Docker names exists', async t => {
  const ignored = Object.keys(parseEnv(guide())).filter(name => !Object.hasOwn(SETTINGS, name))
  t.strictSame(ignored, ['AUTHORIZER_CLASS_NAME', 'AUTHORIZER_REQUEST_FILTER'], 'of the guide\'s, these have no meaning here')
  for (const file of ['Dockerfile', 'compose.yaml', 'deploy/docker/nginx.conf', 'deploy/docker/make-secrets', 'docs/deploy-docker.md', 'docs/cognito.md']) {
    const named = new Set([...readFileSync(join(ROOT, file), 'utf8').matchAll(/\b(?:MINTMARK|AUTHENTICATION|AUTHORIZER)_[A-Z_]*[A-Z]\b/g)].map(([name]) => name))
    const known = (name: string): boolean => Object.hasOwn(SETTINGS, name) || Object.hasOwn(SETTINGS, name.replace(/_FILE$/, '')) || ignored.includes(name)
    t.strictSame([...named].filter(name => !known(name)), [], file)
  }
})

await t.test('the secrets', async t => {
  const folder = temporaryFolder(t)
  const make = (): void => { execFileSync(SCRIPT, { cwd: folder, stdio: 'pipe' }) }
  const contents = (): string[] => files.map(file => readFileSync(join(folder, file), 'utf8'))
  const files = Object.values(secrets).map(({ file }) => file)
  make()
  const made = contents()
  t.strictSame(files.map(file => statSync(join(folder, file)).mode & 0o777), files.map(() => 0o600))
  if (process.getuid?.() === 0) t.strictSame(files.map(file => statSync(join(folder, file)).uid), files.map(() => 1000), 'they are the containers\'')
  make()
  t.strictSame(contents(), made, 'what is there stays')

  rmSync(join(folder, 'secrets/master_key'))
  make()
  t.not(readFileSync(join(folder, 'secrets/master_key'), 'utf8'), made[0], 'what is not is made')
  t.strictSame(contents().slice(1), made.slice(1))

  rmSync(join(folder, 'secrets/master_key'))
  const programs = temporaryFolder(t)
  writeFileSync(join(programs, 'openssl'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
  t.throws(() => { execFileSync(SCRIPT, { cwd: folder, stdio: 'pipe', env: { PATH: `${programs}:${process.env.PATH ?? ''}` } }) }, 'without openssl it fails')
  t.strictSame(readdirSync(join(folder, 'secrets')).sort(), ['database_password', 'database_url'], 'and leaves no empty file, which would be taken for a secret')
  make()

  await t.test('mintmark takes them, with the guide\'s file as it is', async t => {
    const config = readConfig({ ...dockerEnvFile(guide()), ...composeEnvironment(path => join(folder, 'secrets', path)) })
    t.match(config, {
      publicUrl: 'http://localhost:8590',
      masterKey: { file: join(folder, 'secrets/master_key') },
      adminPrincipals: ['admin'],
      cognito: { pools: [{ authority: 'https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8' }], clientIds: ['4kd2bq0example7n1v9c3p5t8u'] }
    })
    t.equal(config.databaseUrl.trim(), `postgres://mintmark:${readFileSync(join(folder, 'secrets/database_password'), 'utf8').trim()}@postgres:5432/mintmark`)
    t.match(config.warnings, [/^MINTMARK_ALLOW_HTTP is on/])
    t.equal(config.warnings.length, 1)
    t.ok(SETTINGS.MINTMARK_MASTER_KEY.parse(readFileSync(join(folder, 'secrets/master_key'), 'utf8').trim()))
  })
})

await t.test('a folder secrets/ that cannot be written is a failure', async t => {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'secrets/master_key.new'), { recursive: true })
  t.throws(() => execFileSync(SCRIPT, { cwd: folder, stdio: 'pipe' }))
  t.notOk(existsSync(join(folder, 'secrets/master_key')))
})

function guide (): string {
  return examplesOf(PAGE).find(({ language }) => language === 'ini')?.text ?? ''
}

/** As `docker run --env-file` reads it: what follows "=" is the value, comment and all. */
function dockerEnvFile (text: string): Record<string, string> {
  const lines = text.split('\n').filter(line => /^\w+=/.test(line))
  return Object.fromEntries(lines.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}
