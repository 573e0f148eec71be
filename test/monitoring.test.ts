/** Dashboard, alerts and their page name what the service really exports: metrics, labels, and the values that labels have. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { OAUTH_ERRORS } from '../src/http/oauth/oauth-error.ts'
import { VERIFY_FAILURES } from '../src/verify/errors.ts'
import { LEGACY_ISSUER, legacyServer } from './fakes/legacy-server.ts'
import { startService, type Service, type Teardown } from './fakes/service.ts'

interface Panel { type: string, title: string, targets?: Array<{ expr: string, legendFormat: string }> }
interface Dashboard { panels: Panel[], templating: { list: Array<{ type: string, query: string }> } }
interface Rule { alert: string, expr: string, for?: string, labels: Record<string, string>, annotations: Record<string, string> }

const FOLDER = new URL('../docs/monitoring/', import.meta.url)
const read = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8')

const page = read('README.md')
const dashboard = JSON.parse(read('grafana-dashboard.json')) as Dashboard
const { groups } = parse(read('alerts.yaml')) as { groups: Array<{ rules: Rule[] }> }
const rules = groups.flatMap(group => group.rules)

/** A pool whose keys cannot be had: nobody listens there. */
const POOL = 'http://127.0.0.1:9/pool'
/** Prometheus gives these to whatever it scrapes. */
const OF_THE_TARGET = ['job', 'instance']
/** Words of PromQL that no parenthesis follows. */
const KEYWORDS = ['and', 'or', 'unless', 'bool', 'offset']

const exported = await exportedBy(await exercisedService(t))

await t.test('dashboard and alerts ask for nothing that the service does not export', async t => {
  const values: Record<string, Iterable<string>> = { code: ['ok', ...Object.keys(VERIFY_FAILURES)], error: Object.keys(OAUTH_ERRORS) }

  for (const { where, expression, shown } of questions()) {
    const { metrics, matchers, grouping } = readExpression(expression)
    t.ok(metrics.length > 0, `${where} asks for something`)
    t.strictSame(metrics.filter(metric => !exported.series.has(metric)), [], `${where}: the metrics exist`)

    const known = new Set([...OF_THE_TARGET, ...metrics.flatMap(metric => [...exported.series.get(metric)?.keys() ?? []])])
    const labels = [...grouping, ...shown, ...matchers.map(({ label }) => label)]
    t.strictSame(labels.filter(label => !known.has(label)), [], `${where}: their labels exist`)

    for (const { label, pattern } of matchers.filter(({ label, pattern }) => label !== 'status' && !pattern.startsWith('$'))) {
      const possible = new Set(values[label] ?? metrics.flatMap(metric => [...exported.series.get(metric)?.get(label) ?? []]))
      t.strictSame(pattern.split('|').filter(value => !possible.has(value)), [], `${where}: ${label} has these values`)
    }
  }
})

await t.test('the page lists each metric of ours as the service describes it, and no other', async t => {
  const rows = [...page.matchAll(/^\| `(mintmark_\w+)` \| (\w+) \| (.*?) \| (.*) \|$/gm)]
    .map(([, name = '', type = '', labels = '', help = '']) => ({ name, type, labels: [...labels.matchAll(/\w+/g)].map(String), help }))
  t.strictSame(sorted(rows), sorted(exported.described.filter(({ name }) => name.startsWith('mintmark_'))))
})

await t.test('three alerts, each with what whoever is woken needs', async t => {
  t.equal(rules.length, 3)
  for (const { alert, for: lasting, labels, annotations } of rules) {
    t.match(lasting, /^\d+m$/, `${alert} waits`)
    t.match(labels.severity, /^(?:critical|warning)$/)
    t.match(annotations, { summary: /\{\{ \$labels\./, description: /\S/ })
  }
  const listed = [...page.matchAll(/^\| `(Mintmark\w+)` \| (\w+) \|/gm)].map(([, alert = '', severity = '']) => [alert, severity])
  t.strictSame(listed, rules.map(({ alert, labels }) => [alert, labels.severity]), 'the page lists them')
})

/** Every expression that is asked of Prometheus, and the labels that are shown with its answer. */
function questions (): Array<{ where: string, expression: string, shown: string[] }> {
  const panels = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr, legendFormat }) => (
    { where: title, expression: expr, shown: [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label) })))
  const variables = dashboard.templating.list.filter(({ type }) => type === 'query').map(({ query }) => {
    const [, expression = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(query) ?? []
    return { where: query, expression, shown: [label] }
  })
  const alerts = rules.map(({ alert, expr, annotations }) => (
    { where: alert, expression: expr, shown: [...Object.values(annotations).join().matchAll(/\$labels\.(\w+)/g)].map(([, label = '']) => label) }))
  return [...panels, ...variables, ...alerts]
}

/** As much of PromQL as names something: metrics, labels that are matched, labels that are grouped by. */
function readExpression (expression: string): { metrics: string[], matchers: Array<{ label: string, pattern: string }>, grouping: string[] } {
  const grouped = /\b(?:by|without|on|ignoring|group_left|group_right) ?\(([^)]*)\)/g
  const matched = /(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"/g
  const bare = expression.replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, '').replaceAll(grouped, '')
  return {
    metrics: [...bare.matchAll(/\b[a-z_]\w*\b(?!\s*\()/gi)].map(String).filter(word => !KEYWORDS.includes(word)),
    matchers: [...expression.matchAll(matched)].map(([, label = '', pattern = '']) => ({ label, pattern })),
    grouping: [...expression.matchAll(grouped)].flatMap(([, labels = '']) => labels.split(',').map(label => label.trim()).filter(label => label !== ''))
  }
}

/** A service that has met each case that has labels of its own: a metric without a sample shows none. */
async function exercisedService (t: Teardown): Promise<Service> {
  const service = await startService(t, { AUTHENTICATION_PROVIDER: 'aws-cognito', AUTHENTICATION_AUTHORITY: POOL, AUTHENTICATION_CLIENT_ID: 'client' })
  const { app } = service
  const bot = await service.bot('ingestion-bot')
  const token = await service.token(bot)
  await service.token({ ...bot, clientSecret: 'wrong' }).catch(() => 'refused')
  await app.inject({ method: 'POST', url: '/verify', headers: { authorization: `Bearer ${token}` } })
  await app.inject({ method: 'POST', url: '/verify', headers: { authorization: `Bearer ${tokenOfPool()}` } })
  await app.inject({ method: 'GET', url: '/auth', headers: { authorization: `Bearer ${token}` } })
  for (const url of ['/.well-known/jwks.json', '/api/v1/system/config/jwks']) await app.inject({ method: 'GET', url })
  const authorization = `Bearer ${await service.adminToken()}`
  const om = legacyServer(service.clock)
  const publicKey = om.publicKey.export({ format: 'pem', type: 'spki' })
  await app.inject({ method: 'POST', url: '/admin/keys/import', headers: { authorization }, payload: { publicKey, kid: om.kid, issuer: LEGACY_ISSUER } })
  await app.inject({ method: 'POST', url: '/verify', headers: { authorization: `Bearer ${await om.token()}` } })
  await app.inject({ method: 'POST', url: '/admin/bots/ingestion-bot/revoke-tokens', headers: { authorization }, payload: {} })
  return service
}

/** Names a key of the pool, so that its keys are fetched. */
function tokenOfPool (): string {
  return [{ alg: 'RS256', kid: 'of-the-pool' }, { iss: POOL }, 'signature'].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
}

interface Exported {
  /** Values of each label, by the name of the series: a histogram has three. */
  series: Map<string, Map<string, Set<string>>>
  described: Array<{ name: string, type: string, labels: string[], help: string }>
}

async function exportedBy ({ app }: Service): Promise<Exported> {
  const { body } = await app.inject({ method: 'GET', url: '/metrics' })
  const series: Exported['series'] = new Map()
  for (const [, name = '', pairs = ''] of body.matchAll(/^([a-z]\w*)(?:\{(.*)\})? \S+$/gm)) {
    const labels = series.get(name) ?? new Map<string, Set<string>>()
    series.set(name, labels)
    for (const [, label = '', value = ''] of pairs.matchAll(/(\w+)="([^"]*)"/g)) labels.set(label, (labels.get(label) ?? new Set()).add(value))
  }
  const described = [...body.matchAll(/^# HELP (\w+) (.*)\n# TYPE \w+ (\w+)$/gm)].map(([, name = '', help = '', type = '']) => {
    const sample = type === 'histogram' ? `${name}_count` : name
    return { name, type, labels: [...series.get(sample)?.keys() ?? []], help }
  })
  return { series, described }
}

function sorted<T extends { name: string }> (rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => a.name < b.name ? -1 : 1)
}
