/** The house's import rules (house-style.md): who may know whom, where packages live, and what a folder may not be called. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import ts from 'typescript'

const SRC = new URL('../src/', import.meta.url).pathname

/**
 * A room is a folder of src/, or a file beside them. Downwards only; anything may import from its own room.
 * A row names rooms, or single files of them; `type …`: nothing that is there when it runs.
 */
const MAY_IMPORT: Record<string, string[]> = {
  cli: ['main', 'parts', 'issuers', 'config', 'client-settings', 'agent', 'client', 'duration', 'loopback', 'version', 'http/problems', 'http/admin/bot-document', 'http/admin/credentials', 'http/admin/bot-shapes', 'http/admin/key-shapes', 'verify', 'keys', 'bots', 'store/database', 'telemetry/log', 'type telemetry/audit', 'tokens/mint', 'workloads/workload-tokens'],
  server: ['app', 'background', 'parts', 'config', 'bots/bot', 'bots/bot-draft', 'bots/secret', 'telemetry/audit', 'telemetry/log', 'verify/admins'],
  main: ['app', 'background', 'parts', 'workers', 'type config', 'duration', 'verify/admins', 'keys/signing-key', 'telemetry/log'],
  background: ['type parts', 'type telemetry/log'],
  workers: ['telemetry/cluster-metrics', 'type telemetry/log'],
  app: ['parts', 'issuers', 'version', 'http', 'http/admin', 'http/oauth', 'keys/jwks', 'store/database', 'telemetry/refused-calls'],
  parts: ['issuers', 'config', 'settings', 'store', 'telemetry/metrics', 'telemetry/audit', 'type telemetry/log', 'verify', 'tokens', 'keys', 'bots', 'workloads'],
  issuers: ['type config', 'type keys', 'type tokens', 'type telemetry', 'type bots/bot-cache', 'bots/bot', 'verify'],
  index: ['plugin/plugin', 'type plugin', 'verify/errors', 'type verify/principal'],
  'http/admin': ['http', 'type verify', 'verify/errors', 'type tokens', 'tokens/mint', 'type keys', 'keys/signing-key', 'keys/legacy-key', 'keys/key-import', 'bots', 'duration', 'type telemetry'],
  'http/oauth': ['http', 'verify', 'tokens', 'bots', 'type workloads', 'type telemetry'],
  http: ['verify', 'tokens/claims', 'tokens/revocation-feed', 'type keys', 'keys/jwks', 'bots/bot', 'bots/assertion', 'duration', 'type telemetry/metrics'],
  plugin: ['loopback', 'verify', 'type keys/key-ring', 'keys/jwks', 'tokens/claims'],
  verify: ['tokens/claims', 'type tokens/revocations', 'type keys/key-ring', 'keys/verification-key', 'type keys/signing-key', 'keys/legacy-key'],
  tokens: ['type keys', 'bots/bot', 'type bots/bot-registry', 'type bots/pipelines', 'type telemetry/audit'],
  store: ['store/migrations', 'type keys/key-store', 'type keys/signing-key', 'type keys/legacy-key', 'type bots/bot-registry', 'type bots/bot', 'type bots/bot-plan', 'type bots/assertion-log', 'type bots/trust-book', 'tokens/revocations', 'type tokens/token-registry', 'type tokens/token-counts', 'type telemetry/audit', 'type telemetry/log'],
  'store/migrations': [],
  workloads: ['type bots/bot', 'bots/signed-jwt'],
  'client-settings': ['config', 'settings'],
  agent: ['client', 'type telemetry/log'],
  client: ['loopback'],
  config: ['settings', 'duration', 'loopback'],
  settings: ['duration', 'loopback'],
  telemetry: [],
  keys: ['telemetry/audit'],
  bots: ['type telemetry/audit'],
  duration: [],
  loopback: [],
  version: []
}

/** Packages that have a home: a change of library touches one place. */
const HOMES: Array<[name: RegExp, homes: string[]]> = [
  [/^jose$/, ['keys/local-vault', 'keys/key-import', 'verify/jose-judge', 'bots', 'agent/private-key-jwt']],
  [/^aws-jwt-verify$/, ['verify/cognito-tokens']],
  [/^@fastify\/jwt$/, ['http/judge']],
  [/^fastify-plugin$/, ['plugin']],
  [/^fastify$/, ['http', 'plugin', 'app', 'server']],
  [/^@fastify\/.+$/, ['http']],
  [/^ajv(-.+)?$/, ['http/requests']],
  [/^kysely$/, ['store']],
  [/^node:sqlite$/, ['store/sqlite']],
  [/^(pino|pino-.+)$/, ['telemetry/log']],
  [/^prom-client$/, ['telemetry']],
  [/^close-with-grace$/, ['main', 'workers']],
  [/^commander$/, ['cli']],
  [/^yaml$/, ['cli/yaml-file']],
  [/^typebox$/, ['http']],
  [/^fast-json-stringify$/, ['http/requests']]
]

interface Import { from: string, to: string, isTypeOnly: boolean }

const files = globSync('**/*.ts', { cwd: SRC }).map(file => file.replace(/\.ts$/, '')).sort()
const textOf = (file: string): string => readFileSync(join(SRC, `${file}.ts`), 'utf8')
const roomOf = (file: string): string => dirname(file) === '.' ? file : dirname(file)
const isWithin = (file: string, places: string[]): boolean => places.some(place => file === place || file.startsWith(`${place}/`))
const packageOf = (specifier: string): string => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier

/** `export … from` and `import()` count too. */
const specifiersIn = (text: string): Set<string> => new Set(ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName))
const withoutTypes = (text: string): string => ts.transpileModule(text, { compilerOptions: { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true } }).outputText

const imports: Import[] = files.flatMap(from => {
  const values = specifiersIn(withoutTypes(textOf(from)))
  return [...specifiersIn(textOf(from))].map(specifier => ({
    from,
    to: specifier.startsWith('.') ? normalize(join(dirname(from), specifier)).replace(/\.ts$/, '') : specifier,
    isTypeOnly: !values.has(specifier)
  }))
})
const ours = imports.filter(({ to }) => files.includes(to))
const theirs = imports.filter(({ to }) => !files.includes(to))
const shown = (broken: Import[]): string[] => broken.map(({ from, to, isTypeOnly }) => `${from} imports ${isTypeOnly ? 'type ' : ''}${to}`)
const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { dependencies: Record<string, string> }

await t.test('every import is a file of src, or a package that package.json names', async t => {
  t.ok(ours.length > 100, 'the imports were found')
  t.same(shown(theirs.filter(({ to }) => !to.startsWith('node:') && !Object.hasOwn(dependencies, packageOf(to)))), [])
})

await t.test('every package that package.json names is imported', async t => {
  const imported = new Set(theirs.map(({ to }) => packageOf(to)))
  t.same(Object.keys(dependencies).filter(name => !imported.has(name)), [])
})

await t.test('every room of the house has a row in the table, and every row a room', async t => {
  t.same([...new Set(files.map(roomOf))].sort(), Object.keys(MAY_IMPORT).sort())
})

/** In the words of the table: by file and by room. */
const wordsFor = ({ to, isTypeOnly }: Import): string[] => [to, roomOf(to)].map(place => isTypeOnly ? `type ${place}` : place)

await t.test('rooms import downwards only', async t => {
  const isInRow = (each: Import): boolean => wordsFor(each).some(words => MAY_IMPORT[roomOf(each.from)]?.includes(words))
  const isAllowed = (each: Import): boolean => roomOf(each.from) === roomOf(each.to) || isInRow(each) || isInRow({ ...each, isTypeOnly: false })
  t.same(shown(ours.filter(each => !isAllowed(each))), [])
})

await t.test('no row allows more than the house needs', async t => {
  const unused = Object.entries(MAY_IMPORT).flatMap(([room, row]) => row
    .filter(words => !ours.some(each => roomOf(each.from) === room && roomOf(each.to) !== room && wordsFor(each).includes(words)))
    .map(words => `${room} may import ${words}`))
  t.same(unused, [])
})

await t.test('no file imports itself by a detour', async t => {
  const onTheWay: string[] = []
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (file: string): void => {
    if (onTheWay.includes(file)) cycles.push([...onTheWay.slice(onTheWay.indexOf(file)), file].join(' → '))
    if (onTheWay.includes(file) || done.has(file)) return
    onTheWay.push(file)
    for (const { to } of ours.filter(({ from }) => from === file)) visit(to)
    onTheWay.pop()
    done.add(file)
  }
  files.forEach(visit)
  t.same(cycles, [])
})

/** Whatever is there when a program imports `face`: files of ours, and of others' by their packages. */
function reachedFrom (face: string): { ours: Set<string>, theirs: Set<string> } {
  const reached = new Set([face])
  for (const file of reached) for (const { to } of ours.filter(({ from, isTypeOnly }) => from === file && !isTypeOnly)) reached.add(to)
  const packages = theirs.filter(({ from, isTypeOnly }) => reached.has(from) && !isTypeOnly).map(({ to }) => packageOf(to))
  return { ours: reached, theirs: new Set(packages) }
}

await t.test('what a metadata API or a pipeline imports brings no server, no database and no file', async t => {
  const plugin = reachedFrom('index')
  t.ok(plugin.ours.has('verify/checks'), 'the walk gets to where the work is done')
  t.same([...plugin.ours].filter(file => !['index', 'plugin', 'verify', 'tokens', 'keys', 'loopback'].includes(roomOf(file))), [])
  t.same([...plugin.theirs].sort(), ['aws-jwt-verify', 'fastify-plugin', 'jose', 'node:crypto', 'node:http', 'node:https', 'node:v8'], 'HTTP: as a client only')
  t.same(theirs.filter(({ to, from, isTypeOnly }) => plugin.ours.has(from) && !isTypeOnly && /^node:https?$/.test(to)).map(({ from }) => from), ['verify/http-get', 'verify/http-get'])

  const client = reachedFrom('client')
  t.same([...client.ours].filter(file => !['client', 'loopback'].includes(roomOf(file))), [])
  t.same([...client.theirs], [], 'nothing but what any JavaScript has')

  t.ok(reachedFrom('server').ours.has('store/sqlite'), 'the walk would find a database')
})

await t.test('packages stay at home', async t => {
  const isHome = ({ from, to }: Import): boolean => HOMES.every(([name, homes]) => !name.test(packageOf(to)) || isWithin(from, homes))
  t.same(shown(theirs.filter(each => !isHome(each))), [])
})

await t.test('only config.ts reads the environment', async t => {
  t.same(files.filter(file => /process\s*\??\.\s*env|process\[|\{[^}]*\benv\b[^}]*\} (?:= process|from 'node:process')/.test(textOf(file).replaceAll(/^\s*(?:\/\*)?\*.*$|\/\/ .*$/gm, ''))), ['config'])
})

await t.test('there is one index.ts, and no junk drawer', async t => {
  t.same(files.filter(file => /(?:^|\/)index$/.test(file)), ['index'])
  t.same(files.filter(file => /(?:^|\/)(?:utils?|helpers?|common|shared|misc|services|managers)(?:\/|$)/.test(file)), [])
})
