/** What `npm pack` makes, as others have it: installed into an empty project, where nothing of this checkout is in reach. */
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { temporaryFolder } from './fakes/service.ts'

t.setTimeout(240_000)

interface Manifest extends Record<string, unknown> { version: string, exports: Record<string, string>, bin: Record<string, string>, dependencies: Record<string, string> }
interface Outcome { code: number, stdout: string, stderr: string }

const ROOT = new URL('..', import.meta.url).pathname
const MODULES = join(ROOT, 'node_modules')
const readManifest = (folder: string): Manifest => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest

const execute = promisify(execFile)
const environment = { PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter), HOME: process.env['HOME'] }

async function run (folder: string, program: string, ...words: string[]): Promise<Outcome> {
  return await execute(program, words, { cwd: folder, env: environment, maxBuffer: 10_000_000 }).then(
    output => ({ code: 0, ...output }),
    (error: unknown) => error as Outcome)
}

/** In a copy: packing builds, and turns package.json for a moment, which other tests must not see. */
async function pack (): Promise<{ copy: string, tarball: string }> {
  const copy = temporaryFolder(t)
  for (const name of ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'src', 'scripts', 'README.md', 'CHANGELOG.md', 'LICENSE', '.env.example']) {
    cpSync(join(ROOT, name), join(copy, name), { recursive: true })
  }
  symlinkSync(MODULES, join(copy, 'node_modules'))
  const { code, stdout, stderr } = await run(copy, 'npm', 'pack', '--json')
  if (code !== 0) throw new Error(`npm pack failed: ${stderr}${stdout}`)
  return { copy, tarball: join(copy, `mintmark-${readManifest(ROOT).version}.tgz`) }
}

/** As `npm install` would lay it out, without a registry: what package.json does not name is not there. */
async function install (tarball: string): Promise<string> {
  const project = temporaryFolder(t)
  const installed = join(project, 'node_modules/mintmark')
  mkdirSync(installed, { recursive: true })
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'empty', private: true }))
  await execute('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed])
  for (const name of [...Object.keys(readManifest(installed).dependencies), '@types/node']) {
    mkdirSync(dirname(join(project, 'node_modules', name)), { recursive: true })
    symlinkSync(join(MODULES, name), join(project, 'node_modules', name))
  }
  mkdirSync(join(project, 'node_modules/.bin'))
  symlinkSync('../mintmark/dist/cli.js', join(project, 'node_modules/.bin/mintmark'))
  return project
}

const { copy, tarball } = await pack()
const project = await install(tarball)
const installed = join(project, 'node_modules/mintmark')

await t.test('it holds what runs and what is read, and points there', async t => {
  const files = (await execute('tar', ['-tzf', tarball])).stdout.trim().split('\n').map(file => file.replace('package/', ''))
  t.strictSame(files.filter(file => !/^dist\/.+\.(?:js|d\.ts)$/.test(file)).sort(), ['.env.example', 'CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'])
  const { exports, bin } = readManifest(installed)
  t.strictSame(Object.keys(exports), ['.', './client', './server', './package.json'])
  for (const path of [...Object.values(exports), ...Object.values(bin)]) t.ok(files.includes(path.replace('./', '')), `${path} is there`)
  t.ok(statSync(join(installed, bin['mintmark'] ?? '')).mode & 0o100, 'the command can be executed')
  const { scripts, devDependencies } = readManifest(installed)
  t.strictSame({ scripts, devDependencies }, { scripts: undefined, devDependencies: undefined }, 'nothing that is for this checkout')
  t.equal(readFileSync(join(copy, 'package.json'), 'utf8'), readFileSync(join(ROOT, 'package.json'), 'utf8'), 'package.json is turned back')
})

await t.test('packing that was interrupted says how to go on, and loses nothing', async t => {
  const ours = readFileSync(join(copy, 'package.json'), 'utf8')
  const turn = async (): Promise<Outcome> => await run(copy, process.execPath, 'scripts/package-json.ts', 'turn')
  t.equal((await turn()).code, 0)
  t.match(await turn(), { code: 1, stderr: /"node scripts\/package-json.ts turn-back" brings package.json back/ })
  for (let time = 0; time < 2; time++) await run(copy, process.execPath, 'scripts/package-json.ts', 'turn-back')
  t.equal(readFileSync(join(copy, 'package.json'), 'utf8'), ours)
})

await t.test('publint and attw find nothing', async t => {
  for (const words of [['publint', 'run', tarball, '--strict'], ['attw', tarball, '--profile', 'esm-only']]) {
    const { code, stdout, stderr } = await run(project, 'npx', '--no-install', '--prefix', ROOT, ...words)
    t.equal(code, 0, { stdout, stderr })
    t.match(stdout, /mintmark/, 'it looked at the package')
  }
})

await t.test('a bot comes from the service to a metadata API, all of it installed', async t => {
  writeFileSync(join(project, 'story.mjs'), `
    import Fastify from 'fastify'
    import mintmark from 'mintmark'
    import { createTokenSource, fetchWithToken } from 'mintmark/client'
    import { buildApp, createAdmin } from 'mintmark/server'

    const settings = { MINTMARK_DATABASE_URL: 'sqlite:story.db', MINTMARK_MASTER_KEY_FILE: 'story.key', MINTMARK_ISSUER: 'http://localhost', LOG_LEVEL: 'silent' }
    const admin = await createAdmin('admin-bot', settings)
    const service = await buildApp(settings)
    const url = await service.listen({ port: 0 })
    const api = Fastify()
    await api.register(mintmark, { issuer: 'http://localhost', audience: 'metadata-api', jwksUri: url + '/.well-known/jwks.json' })
    api.get('/me', { onRequest: api.authenticate }, async request => request.principal.name)

    const me = fetchWithToken(createTokenSource({ url, ...admin }), { origin: await api.listen({ port: 0 }) })
    console.log(await (await me('/me')).text())
    await api.close()
    await service.close()
  `)
  t.strictSame(await run(project, process.execPath, 'story.mjs'), { code: 0, stdout: 'admin-bot\n', stderr: '' })
})

await t.test('CommonJS requires it', async t => {
  writeFileSync(join(project, 'api.cjs'), `
    const app = require('fastify')()
    app.register(require('mintmark'), { issuer: 'https://tokens.example.com', audience: 'metadata-api' })
    app.after(() => { app.get('/me', { onRequest: app.authenticate }, async request => request.principal.name) })
    app.inject('/me').then(answer => { console.log(answer.json().code, typeof require('mintmark/client').createTokenSource, require('mintmark/package.json').name) })
  `)
  const { code, stdout, stderr } = await run(project, process.execPath, 'api.cjs')
  t.strictSame({ code, stdout }, { code: 0, stdout: 'token_missing function mintmark\n' }, { stderr })
})

await t.test('the command works, on a database that it makes', async t => {
  const mintmark = join(project, 'node_modules/.bin/mintmark')
  t.equal((await run(project, mintmark, '--version')).stdout.trim(), readManifest(ROOT).version)
  const made = await run(project, mintmark, 'bot', 'create', 'ingestion-bot')
  t.equal(made.code, 0, { stderr: made.stderr })
  t.match(made.stdout, /Give it a secret: {2}mintmark secret create ingestion-bot/, 'it calls itself by its name')
  t.match(JSON.parse((await run(project, mintmark, 'bot', 'list', '--json')).stdout), { bots: [{ name: 'ingestion-bot' }] })
})

await t.test('types: what is whole compiles, what forgets a check does not', async t => {
  const compilerOptions = { module: 'nodenext', target: 'es2024', lib: ['es2024'], strict: true, noEmit: true, types: ['node'] }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.mts', '*.cts'] }))
  writeFileSync(join(project, 'whole.mts'), `
    import Fastify from 'fastify'
    import mintmark, { type MintmarkOptions, type Principal, type VerifyCode } from 'mintmark'
    import { createTokenSource, fetchWithToken, TokenRefused, type TokenSource } from 'mintmark/client'
    import { buildApp, createAdmin, type ServerSettings } from 'mintmark/server'

    export const options: MintmarkOptions = { issuer: 'https://tokens.example.com', audience: null }
    const app = Fastify()
    await app.register(mintmark, options)
    app.get('/me', { onRequest: app.authenticate }, async (request): Promise<Principal> => request.principal)
    export const code: VerifyCode = 'token_expired'

    export const source: TokenSource = createTokenSource({ url: 'https://tokens.example.com', clientId: 'a', clientSecret: async () => 'b', scopes: ['c'] })
    export const authorized: typeof fetch = fetchWithToken(source, { origin: 'https://metadata.example.com' })
    export const isRefused = (error: unknown): boolean => error instanceof TokenRefused && error.code === 'invalid_client'

    export const settings: ServerSettings = { LOG_LEVEL: 'silent' }
    export const close = async (): Promise<void> => { await createAdmin('a', settings); await (await buildApp(settings)).close() }
  `)
  writeFileSync(join(project, 'whole.cts'), 'import mintmark = require(\'mintmark\')\nexport const plugin: Function = mintmark.default\n')
  writeFileSync(join(project, 'forgetful.mts'), [
    'import Fastify from \'fastify\'',
    'import mintmark from \'mintmark\'',
    'import { createTokenSource } from \'mintmark/client\'',
    'await Fastify().register(mintmark, { issuer: \'https://tokens.example.com\' })',
    'createTokenSource({ url: \'https://tokens.example.com\', clientId: \'a\' })'
  ].join('\n'))
  const { stdout } = await run(project, process.execPath, join(MODULES, 'typescript/bin/tsc'), '--pretty', 'false')
  t.strictSame(stdout.match(/^\S+\(\d+/gm), ['forgetful.mts(4', 'forgetful.mts(5'], stdout)
})
