/** docs/deploy-kubernetes.md: its values, its manifests, its trust rule, and the settings that it names. */
import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { VALUES_SCHEMA } from '../scripts/settings-table.ts'
import { readConfig } from '../src/config.ts'
import { askAs } from './fakes/asking.ts'
import { defaultValues, merged, type Values } from './fakes/chart.ts'
import { examplesOf } from './fakes/examples.ts'
import { assertValid } from './fakes/kubernetes.ts'
import { startService, temporaryFolder } from './fakes/service.ts'

interface Pod { initContainers: object[], containers: object[], volumes: object[] }
interface Documented { apiVersion: string, kind: string, spec: { jobTemplate: { spec: { template: { spec: Pod } } } } }

const page = readFileSync(new URL('../docs/deploy-kubernetes.md', import.meta.url), 'utf8')
const examples = examplesOf(page)
const yaml = examples.filter(({ language }) => language === 'yaml').map(({ text }) => text)
const values = yaml.slice(0, 2).map(text => parse(text) as Values & { settings: Record<string, string> })
const [serviceAccount, job] = parseAllDocuments(yaml[2] ?? '').map(document => document.toJS() as Documented)
const bySecret = parse(yaml[3] ?? '') as Pod

await t.test('the values are the chart\'s, and their settings the service\'s', async t => {
  t.equal(yaml.length, 4)
  const together = values.reduce(merged, defaultValues())
  const judge = new Ajv({ allowUnionTypes: true }).compile(JSON.parse(readFileSync(VALUES_SCHEMA, 'utf8')) as object)
  t.ok(judge(together), JSON.stringify(judge.errors))
  const config = readConfig({ ...together.settings as Record<string, string>, MINTMARK_PUBLIC_URL: together.publicUrl as string })
  t.match(config, { warnings: [], cognito: { clientIds: ['4kd2bq0example7n1v9c3p5t8u'] }, adminGroups: ['mintmark-admins'], trustProxy: ['10.0.0.0/8'] })
})

await t.test('the manifests are what Kubernetes takes', async t => {
  if (!serviceAccount || !job) throw new Error('they are not there')
  t.doesNotThrow(() => { assertValid(serviceAccount) })
  t.doesNotThrow(() => { assertValid(job) })
  const pod = job.spec.jobTemplate.spec.template.spec
  const withSecret = { ...job, spec: { ...job.spec, jobTemplate: { spec: { template: { spec: { ...pod, ...bySecret } } } } } }
  t.doesNotThrow(() => { assertValid(withSecret) })

  for (const { initContainers, containers, volumes } of [pod, { ...pod, ...bySecret }] as Array<Record<keyof Pod, Array<{ name: string, volumeMounts?: Array<{ name: string, mountPath: string }>, restartPolicy?: string, command?: string[] }>>>) {
    const [agent] = initContainers
    t.equal(agent?.restartPolicy, 'Always', 'a native sidecar')
    t.strictSame(agent?.command?.slice(0, 4), ['mintmark', 'agent', '--out', '/run/mintmark/token'])
    const mounted = [...initContainers, ...containers].flatMap(({ volumeMounts = [] }) => volumeMounts)
    t.strictSame(new Set(mounted.map(({ name }) => name)), new Set(volumes.map(({ name }) => name)), 'each volume is there, and is used')
  }
})

await t.test('the service takes the rule', async t => {
  const settings = values.map(({ settings }) => settings.MINTMARK_TRUSTED_ISSUERS).filter(setting => setting !== undefined)
  const service = await startService(t, { MINTMARK_TRUSTED_ISSUERS: settings.join() })
  await service.bot('ingestion-bot')
  const admin = askAs(service.app, await service.adminToken())
  const rules = JSON.parse(examples.find(({ language }) => language === 'json')?.text ?? '') as object
  const answer = await admin('PUT', '/admin/bots/ingestion-bot/trust', rules)
  t.equal(answer.statusCode, 200, answer.body)
})

await t.test('its command makes a master key', async t => {
  const folder = temporaryFolder(t)
  execFileSync('bash', ['-euc', examples.find(({ language }) => language === 'sh')?.text ?? ''], { cwd: folder })
  t.equal(statSync(join(folder, 'master-key')).mode & 0o777, 0o600)
  t.match(readConfig({ MINTMARK_MASTER_KEY: readFileSync(join(folder, 'master-key'), 'utf8') }).masterKey, { keys: [Buffer] })
})
