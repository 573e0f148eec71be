/** examples/pipelines: each file is well-formed, and names only commands, options and settings that there are. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import type { TrustRule } from '../src/bots/bot.ts'
import { SETTINGS } from '../src/settings.ts'
import { openToken } from './fakes/pool-forge.ts'
import { openShell } from './fakes/pool-processes.ts'
import { startService, temporaryFolder } from './fakes/service.ts'
import { makeSigner } from './fakes/signers.ts'

t.setTimeout(60_000)

const FOLDER = new URL('../examples/pipelines/', import.meta.url).pathname
const files = readdirSync(FOLDER)
const textOf = (file: string): string => readFileSync(join(FOLDER, file), 'utf8')
const shell = openShell(t, temporaryFolder(t), { MINTMARK_TRUSTED_ISSUERS: '[https://token.actions.githubusercontent.com,https://kubernetes.default.svc.cluster.local=cluster-jwks.json,https://a1b2c3d4.tokens.sts.global.api.aws]' })

/** Every list of words in what YAML holds. */
function listsIn (value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return []
  const words: unknown[] = Array.isArray(value) ? value : []
  return [...(words.length > 0 && words.every(word => typeof word === 'string') ? [words] : []), ...Object.values(value).flatMap(listsIn)]
}

await t.test('YAML, JSON and bash can be parsed', async t => {
  for (const file of files.filter(file => /\.(?:yaml|json)$/.test(file))) {
    const documents = parseAllDocuments(textOf(file))
    t.ok('length' in documents && documents.length > 0 && documents.every(({ errors }) => errors.length === 0), file)
  }
  t.equal(spawnSync('bash', ['-n', join(FOLDER, 'aws.sh')]).status, 0)
})

await t.test('commands, options and settings are those that there are', async t => {
  const listed = files.filter(file => file.endsWith('.yaml')).flatMap(file => parseAllDocuments(textOf(file)).flatMap(document => listsIn('toJS' in document ? document.toJS() : null)))
  const written = files.flatMap(file => [...textOf(file).matchAll(/\bmintmark ((?:agent|token|apply)\b[^\n`]*)/g)].map(([, line = '']) => line.split(/\s+/)))
  const commands = [...listed.filter(([first]) => first === 'agent'), ...written]
  t.ok(commands.length >= 6, `${commands.length} commands were found`)

  const helps = new Map<string, string>()
  for (const [name = '', ...words] of commands) {
    if (!helps.has(name)) helps.set(name, (await shell.run(name, '--help')).stdout)
    const ours = words.includes('--exec') ? words.slice(0, words.indexOf('--exec') + 1) : words
    for (const option of ours.filter(word => /^-/.test(word))) t.match(helps.get(name), new RegExp(`^ +(?:-\\w, )?${option}\\b|^ +${option},`, 'm'), `${name} ${option}`)
  }
  for (const file of files) {
    for (const [name] of textOf(file).matchAll(/\bMINTMARK_[A-Z_]+/g)) t.ok(Object.hasOwn(SETTINGS, name.replace(/_FILE$/, '')), `${file}: ${name}`)
  }
})

await t.test('the bots can be applied', async t => {
  t.match(await shell.run('apply', '-f', join(FOLDER, 'bots.yaml')), { code: 0, stdout: /^created: 4,/m })
})

const systemd = spawnSync('systemd-analyze', ['--version']).error !== undefined && 'systemd-analyze is not installed'
await t.test('systemd finds no fault in the units', { skip: systemd }, async t => {
  const folder = temporaryFolder(t)
  for (const unit of files.filter(file => file.endsWith('.service'))) writeFileSync(join(folder, unit), textOf(unit).replaceAll(/\/opt\/\S+/g, '/bin/true'))
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...files.filter(file => file.endsWith('.service')).map(unit => join(folder, unit))], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  t.notMatch(stderr, /mintmark-agent\.service|ingestion\.service/)
})

const jq = process.env.CI !== 'true' && spawnSync('jq', ['--version']).error !== undefined && 'jq is not installed'
await t.test('the workflow of GitHub fetches a token without a secret', { skip: jq }, async t => {
  const folder = temporaryFolder(t)
  const github = await makeSigner('RS256')
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [github.jwk] }))
  const issuer = 'https://token.actions.githubusercontent.com'
  const service = await startService(t, { MINTMARK_TRUSTED_ISSUERS: `${issuer}=${folder}/jwks.json` }, { clock: () => new Date(), advance: () => {} })
  const url = await service.app.listen({ port: 0, host: '127.0.0.1' })
  const [bot] = (parse(textOf('bots.yaml')) as { bots: Array<{ name: string, trust?: TrustRule[] }> }).bots.filter(({ name }) => name === 'github-bot')
  await service.bot('github-bot', { trust: (bot?.trust ?? []).map(rule => ({ ...rule, audience: url })) })

  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: issuer, sub: 'repo:acme/pipelines:ref:refs/heads/main', iat: now, exp: now + 300, repository_id: '123456789', run_id: '42', jti: 'one' }
  const runner = createServer((request, response) => {
    const audience = new URL(request.url ?? '', 'http://runner').searchParams.get('audience')
    void github.sign({ ...claims, aud: audience }).then(value => { response.end(JSON.stringify({ value })) })
  }).listen(0, '127.0.0.1')
  await once(runner, 'listening')
  t.teardown(() => { runner.close() })

  const { jobs } = parse(textOf('github-actions.yaml')) as { jobs: { ingest: { steps: Array<{ name?: string, run?: string }> } } }
  const script = jobs.ingest.steps.find(({ name }) => name === 'Fetch a token')?.run ?? ''
  const child = spawn('bash', ['-eo', 'pipefail', '-c', script], { env: { PATH: process.env.PATH, MINTMARK_URL: url, RUNNER_TEMP: folder, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x', ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(runner.address() as AddressInfo).port}/?api-version=2.0` }, stdio: ['ignore', 'ignore', 'inherit'] })
  t.strictSame(await once(child, 'close'), [0, null])
  t.match(openToken(readFileSync(join(folder, 'token'), 'utf8').trim()).payload, { sub: 'github-bot', run_id: '42' })
})

await t.test('aws.sh hands the token of the role to the agent, and the token of the bot to the pipeline', async t => {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'bin'))
  copyFileSync(join(FOLDER, 'aws.sh'), join(folder, 'aws.sh'))
  writeFileSync(join(folder, 'bin', 'aws'), '#!/bin/sh\necho of-the-role\n', { mode: 0o755 })
  writeFileSync(join(folder, 'bin', 'mintmark'), '#!/bin/sh\ncat "$3"; shift 4; echo "$@" "$MINTMARK_CLIENT_ID"\n', { mode: 0o755 })
  const { stdout, stderr, status } = spawnSync('bash', ['aws.sh'], { cwd: folder, env: { PATH: `${folder}/bin:${process.env.PATH ?? ''}` }, encoding: 'utf8' })
  t.equal(status, 0, stderr)
  t.equal(stdout, 'of-the-role\nmetadata ingest -c ingestion.yaml aws-bot\n')
})
