/** The Helm chart: its values against their schema, what it renders against Kubernetes' schemas, and what the service makes of its settings. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import t from 'tap'
import { parse } from 'yaml'
import { VALUES_SCHEMA, withChartSettings } from '../scripts/settings-table.ts'
import { readConfig } from '../src/config.ts'
import { CHART, defaultValues, merged, openChart, type Manifest, type Values } from './fakes/chart.ts'
import { assertValid } from './fakes/kubernetes.ts'
import { temporaryFolder } from './fakes/service.ts'

t.setTimeout(240_000)

const schema = readFileSync(VALUES_SCHEMA, 'utf8')
const judge = new Ajv({ allowUnionTypes: true }).compile(JSON.parse(schema) as object)
const isValid = (values: Values): boolean => judge(merged(defaultValues(), values))

const REQUIRED = {
  image: { repository: 'registry.example.com/mintmark' },
  publicUrl: 'https://tokens.example.com',
  database: { existingSecret: 'mintmark-database' },
  masterKey: { existingSecret: 'mintmark-master-key' }
}
const EVERYTHING = merged(REQUIRED, {
  image: { digest: `sha256:${'0'.repeat(64)}` },
  imagePullSecrets: [{ name: 'registry' }],
  database: { caConfigMap: 'database-ca' },
  settings: { AUTHENTICATION_PROVIDER: 'aws-cognito', AUTHENTICATION_AUTHORITY: 'https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8', AUTHENTICATION_CLIENT_ID: '4kd2bq0example7n1v9c3p5t8u', MINTMARK_MAX_TOKEN_TTL: '90d', AUTHORIZER_ENFORCE_PRINCIPAL_DOMAIN: true },
  service: { annotations: { a: 'b' } },
  ingress: { enabled: true, className: 'nginx', annotations: { a: 'b' }, host: 'tokens.example.com', tlsSecret: 'tokens-tls' },
  networkPolicy: { enabled: true, from: [{ namespaceSelector: {} }], egress: [{ ports: [{ port: 5432 }] }] },
  serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
  prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
  serviceAccount: { name: 'tokens', annotations: { a: 'b' } },
  podAnnotations: { a: 'b' },
  podLabels: { a: 'b' },
  nodeSelector: { a: 'b' },
  tolerations: [{ key: 'a', operator: 'Exists' }],
  affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: { matchExpressions: [{ key: 'a', operator: 'Exists' }] } }] } },
  priorityClassName: 'high',
  extraVolumes: [{ name: 'jwks', configMap: { name: 'cluster-jwks' } }],
  extraVolumeMounts: [{ name: 'jwks', mountPath: '/etc/mintmark/jwks' }]
})

await t.test('the values', async t => {
  t.ok(judge(defaultValues()), JSON.stringify(judge.errors))
  t.ok(isValid(EVERYTHING), JSON.stringify(judge.errors))
  t.equal(withChartSettings(schema), schema, 'npm run settings brings the schema up to date')
  const wrong: Values[] = [
    { replicas: 2 }, { replicaCount: 0 }, { image: { name: 'x' } }, { publicUrl: 'tokens.example.com' }, { database: { url: 'postgres://u:secret@h/d' } }, { service: { port: '80' } },
    { settings: { MINTMARK_TOKEN_LIFE: '1h' } }, { settings: { MINTMARK_MASTER_KEY: 'secret' } }, { settings: { MINTMARK_KEY_SIZE: 3072 } }, { ingress: { paths: [] } }, { masterKey: { existingSecret: 'Not A Name' } }
  ]
  for (const values of wrong) t.notOk(isValid(values), `${JSON.stringify(values)} is refused`)
})

await t.test('each value is explained, and each is used', async t => {
  const lines = readFileSync(join(CHART, 'values.yaml'), 'utf8').split('\n')
  const top = lines.flatMap((line, place) => /^\w+:/.test(line) ? [place] : [])
  const bare = top.filter(place => !lines.slice(0, place).join('\n').split(/\n\n/).at(-1)?.includes('#'))
  t.strictSame(bare.map(place => lines[place]), [], 'a comment stands before it, or before its group')
  const templates = execFileSync('cat', ['configmap', 'deployment', 'ingress', 'networkpolicy', 'poddisruptionbudget', 'prometheusrule', 'service', 'serviceaccount', 'servicemonitor'].map(name => join(CHART, `templates/${name}.yaml`)).concat(join(CHART, 'templates/_names.tpl'))).toString()
  t.strictSame(Object.keys(defaultValues()).filter(name => !templates.includes(`.Values.${name}`)), [])
  const { version, appVersion } = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Record<string, string>
  t.equal(appVersion, (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version, 'the chart is of this version')
  t.match(version, /^\d+\.\d+\.\d+$/)
})

const chart = openChart(t)

await t.test('what it renders', { skip: chart ? false : 'there is no Go with sprig here' }, async t => {
  if (!chart) return
  const [plain, whole] = [chart.render(REQUIRED), chart.render(EVERYTHING)]
  const find = (manifests: Manifest[], kind: string): Manifest => {
    const found = manifests.find(each => each.kind === kind)
    if (!found) throw new Error(`it renders no ${kind}`)
    return found
  }

  await t.test('is what Kubernetes takes', async t => {
    t.strictSame(plain.manifests.map(each => each.kind).sort(), ['ConfigMap', 'Deployment', 'PodDisruptionBudget', 'Service', 'ServiceAccount'])
    t.strictSame(whole.manifests.map(each => each.kind).sort(), ['ConfigMap', 'Deployment', 'Ingress', 'NetworkPolicy', 'PodDisruptionBudget', 'PrometheusRule', 'Service', 'ServiceAccount', 'ServiceMonitor'])
    for (const manifest of [...plain.manifests, ...whole.manifests]) {
      t.doesNotThrow(() => { assertValid(manifest) }, manifest.kind)
      t.notMatch(JSON.stringify(manifest), /<no value>|<nil>/)
    }
  })

  await t.test('is what the service takes', async t => {
    const folder = temporaryFolder(t)
    const secrets: Record<string, string> = { 'database-url': 'postgres://u:p@db/mintmark', 'master-key': 'A'.repeat(43) }
    for (const [name, text] of Object.entries(secrets)) writeFileSync(join(folder, name), text)
    const { data = {} } = find(whole.manifests, 'ConfigMap')
    const config = readConfig(Object.fromEntries(Object.entries(data).map(([name, value]) => [name, value.replace('/run/secrets/mintmark', folder)])))
    t.strictSame(config.warnings, [], 'it knows each setting')
    t.match(config, { host: '0.0.0.0', port: 8590, issuer: 'https://tokens.example.com', databaseUrl: secrets['database-url'], masterKey: { file: join(folder, 'master-key') }, maxTokenTtlSeconds: 90 * 86_400, enforcePrincipalDomain: true })
  })

  await t.test('keeps the service up, and to itself', async t => {
    const { spec } = find(plain.manifests, 'Deployment') as Manifest & { spec: { replicas: number, template: { spec: Record<string, unknown> } } }
    t.match(spec, {
      replicas: 2,
      strategy: { rollingUpdate: { maxUnavailable: 0 } },
      template: {
        spec: {
          automountServiceAccountToken: false,
          securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [{
            image: 'registry.example.com/mintmark:0.1.0',
            securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
            readinessProbe: { httpGet: { path: '/health/ready', port: 'http' } },
            livenessProbe: { httpGet: { path: '/health/live', port: 'http' } }
          }],
          topologySpreadConstraints: [{ topologyKey: 'kubernetes.io/hostname' }, { topologyKey: 'topology.kubernetes.io/zone' }]
        }
      }
    })
    const [, rest = ''] = /"command":\["sleep","(\d+)"\]/.exec(JSON.stringify(spec)) ?? []
    t.ok(Number(rest) + 10 < Number(spec.template.spec.terminationGracePeriodSeconds), 'preStop and ten seconds fit')
    t.notMatch(JSON.stringify(plain.manifests), /"kind":"Secret"/, 'it makes no secret')
  })

  await t.test('holds together', async t => {
    for (const { manifests } of [plain, whole]) {
      const pods = (find(manifests, 'Deployment').spec as { template: { metadata: { labels: Record<string, string> } } }).template.metadata.labels
      const { selector } = find(manifests, 'Service').spec as { selector: Record<string, string> }
      t.match(pods, selector, 'the service finds the pods')
      t.match(pods, (find(manifests, 'PodDisruptionBudget').spec as { selector: { matchLabels: object } }).selector.matchLabels)
    }
    t.match(find(whole.manifests, 'Service').metadata.labels, (find(whole.manifests, 'ServiceMonitor').spec as { selector: { matchLabels: object } }).selector.matchLabels, 'and the monitor the service')
    const checksum = (values: Values): unknown => JSON.stringify(find(chart.render(values).manifests, 'Deployment')).match(/"checksum\/settings":"(\w+)"/)?.[1]
    t.not(checksum(REQUIRED), checksum(merged(REQUIRED, { settings: { LOG_LEVEL: 'debug' } })), 'other settings make other pods')
    t.notMatch(JSON.stringify(find(whole.manifests, 'Ingress')), /"\/metrics|"\/auth"|"\/"/, 'the outside does not reach the metrics')
  })

  await t.test('has the very alerts of docs/monitoring', async t => {
    const alerts: unknown = parse(readFileSync(new URL('../docs/monitoring/alerts.yaml', import.meta.url), 'utf8'))
    t.strictSame(find(whole.manifests, 'PrometheusRule').spec, alerts)
  })

  await t.test('says what is missing', async t => {
    for (const name of Object.keys(REQUIRED)) {
      t.throws(() => chart.render({ ...REQUIRED, [name]: {}, ...(name === 'publicUrl' && { publicUrl: '' }) }), { message: new RegExp(`${name}.* is required`) })
    }
    t.match(plain.notes, /mintmark bot create admin-bot --admin --secret/)
  })
})
