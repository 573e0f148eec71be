/** docs/pipelines.md is run: its commands by bash, its programs by Python and Node.js, each against the service. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { examplesOf, runExamples } from './fakes/examples.ts'
import { freePort, freshCheckout } from './fakes/shell.ts'
import { makeSigner } from './fakes/signers.ts'

t.setTimeout(180_000)

const PAGE = new URL('../docs/pipelines.md', import.meta.url)
const port = await freePort()
const page = readFileSync(PAGE, 'utf8').replaceAll('8590', String(port))
const examples = examplesOf(page)
/** What a program of the page is, by the heading that it stands under. */
const programs = (language: string): Array<{ heading: string, text: string }> => examples.filter(example => example.language === language)

const checkout = freshCheckout(t, {
  MINTMARK_PORT: String(port),
  MINTMARK_TRUSTED_ISSUERS: 'https://kubernetes.default.svc.cluster.local=cluster-jwks.json',
  OAUTHLIB_INSECURE_TRANSPORT: '1'
})
const cluster = await makeSigner('RS256')
const now = Math.floor(Date.now() / 1000)
writeFileSync(join(checkout.folder, 'cluster-jwks.json'), JSON.stringify({ keys: [cluster.jwk] }))
writeFileSync(join(checkout.folder, 'workload-token'), await cluster.sign({
  iss: 'https://kubernetes.default.svc.cluster.local',
  sub: 'system:serviceaccount:ingestion:mysql',
  aud: ['https://tokens.example.com'],
  iat: now,
  nbf: now,
  exp: now + 3600,
  'kubernetes.io': { namespace: 'ingestion', serviceaccount: { name: 'mysql', uid: 'a' } }
}))
writeFileSync(join(checkout.folder, 'bots.yaml'), examples.find(({ language, heading }) => language === 'yaml' && heading === 'The bots, as a file')?.text ?? '')
await checkout.start('npm start', `http://localhost:${port}/health/ready`)

await t.test('its commands', async t => {
  t.ok(examples.filter(({ language }) => language === 'sh').length >= 9)
  await runExamples(t, checkout, examples)
})

/** CI installs what the programs need, and has no business to skip. */
function missing (module: string): string | false {
  return process.env.CI !== 'true' && spawnSync('/usr/bin/python3', ['-c', `import ${module}`]).status !== 0 && `Python's ${module} is not installed: apt-get install python3-${module.replace('_', '-')}`
}

const MODULES: Record<string, string> = { 'Python: authlib': 'authlib', 'Python: requests-oauthlib': 'requests_oauthlib' }
t.equal(programs('python').length, 3)
for (const { heading, text } of programs('python')) {
  await t.test(heading, { skip: missing(MODULES[heading] ?? 'urllib') }, async t => {
    writeFileSync(join(checkout.folder, 'program.py'), text)
    t.match(await checkout.bash('/usr/bin/python3 program.py'), { exitCode: 0, stdout: 'ingestion-bot\n' })
  })
}

t.equal(programs('ts').length, 2)
for (const { heading, text } of programs('ts')) {
  const skip = /openid-client/.test(text) && !existsSync(new URL('../node_modules/openid-client', import.meta.url)) && 'openid-client is not installed'
  await t.test(heading, { skip }, async t => {
    writeFileSync(join(checkout.folder, 'program.ts'), text)
    t.match(await checkout.bash('node program.ts'), { exitCode: 0, stdout: 'ingestion-bot\n' })
  })
}

await t.test('links within the page, and to it, lead somewhere', async t => {
  const anchors = [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(/[^\w\- ]/g, '').replaceAll(' ', '-'))
  for (const [, anchor = ''] of page.matchAll(/\]\(#([^)]+)\)/g)) t.ok(anchors.includes(anchor), anchor)
  for (const [, link = ''] of page.matchAll(/\]\((?!#|https?:)([^)#]+)/g)) t.ok(existsSync(new URL(link, PAGE)), link)
})
