/** The documentation is run: commands, examples, what they answer, tables, and links. */
import { existsSync, globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { ENV_EXAMPLE, envExample, README, withSettingsTable } from '../scripts/settings-table.ts'
import { readConfig } from '../src/config.ts'
import { SETTINGS } from '../src/settings.ts'
import { examplesOf, runExamples } from './fakes/examples.ts'
import { freePort, freshCheckout } from './fakes/shell.ts'

t.setTimeout(120_000)

const readme = readFileSync(README, 'utf8')
const ROOT = new URL('..', import.meta.url)
const DECISIONS = new URL('docs/decisions/', ROOT)

await t.test('the settings table and .env.example derive from the settings', async t => {
  t.equal(withSettingsTable(readme), readme, 'npm run settings brings the README up to date')
  t.equal(readFileSync(ENV_EXAMPLE, 'utf8'), envExample(), 'npm run settings brings .env.example up to date')

  const switchedOn = parseEnv(envExample().replace(/^#(?=[A-Z_]+=)/gm, ''))
  t.strictSame(Object.keys(switchedOn).sort(), Object.keys(SETTINGS).sort(), 'every setting can be switched on')
  t.strictSame({ ...readConfig(switchedOn), warnings: [] }, readConfig({}), 'and then says what it says by default')
})

await t.test('what the documentation names is there', async t => {
  const decisions = readdirSync(DECISIONS)
  const others = globSync('{*.md,{docs,deploy,examples,keys}/**/*.md}', { cwd: ROOT })
  t.ok(others.length > 25, 'the pages were found')
  for (const page of others.map(name => new URL(name, ROOT))) {
    const links = [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:)([^)\s]+)/g)].map(([, link = '']) => new URL(link, page))
    for (const link of new Set(links)) {
      const name = `${page.pathname}: ${link.pathname}${link.hash}`
      const file = new URL(link.pathname, link)
      if (!existsSync(file)) t.fail(name)
      else t.ok(link.hash === '' || headingsIn(readFileSync(file, 'utf8')).includes(link.hash.slice(1)), name)
    }
  }
  const files = [...readme.matchAll(/`((?:src|docs|scripts|test)\/[^`*]+)`/g)].map(([, file = '']) => file)
  t.strictSame(files.filter(file => !existsSync(new URL(file, README))), [], 'each file that it names exists')
  const index = readFileSync(new URL('README.md', DECISIONS), 'utf8')
  t.strictSame(decisions.filter(name => name !== 'README.md' && !index.includes(`(${name})`)), [], 'the index lists each decision')

  const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { scripts: Record<string, string> }
  const named = [...readme.matchAll(/\bnpm (?:run )?(?:--silent )?([a-z]+(?:[:-][a-z]+)*)/g)].map(([, name = '']) => name).filter(name => !['ci', 'install', 'pack'].includes(name)) // npm's own
  t.strictSame(named.filter(name => !Object.hasOwn(scripts, name)), [], 'each npm script that it names exists')
})

await t.test('each example does what the README says', async t => {
  const [servicePort, apiPort] = [await freePort(), await freePort()]
  const moved = readme.replaceAll('8590', String(servicePort)).replaceAll('8585', String(apiPort))
  const examples = examplesOf(moved)

  const checkout = freshCheckout(t, { MINTMARK_PORT: String(servicePort) })
  const programs = examples.filter(({ language }) => language === 'ts')
  for (const [place, name] of ['api.ts', 'pipeline.ts'].entries()) writeFileSync(join(checkout.folder, name), programs[place]?.text ?? '')
  await checkout.start('npm start', `http://localhost:${servicePort}/health/ready`)
  await checkout.start('npx node api.ts', `http://localhost:${apiPort}/`)

  // A reader starts the API after the bot was enabled again. Here it has run since before, and may still go by what it heard meanwhile:
  // for seven seconds at most, as README says.
  const heard = { language: 'sh', heading: '', text: `timeout 60 bash -c 'until curl -sf -o /dev/null -H "Authorization: Bearer $0" http://localhost:${apiPort}/api/v1/tables; do sleep 0.1; done' "$TOKEN"\n` }
  examples.splice(examples.findIndex(({ language }) => language === 'ts') + 1, 0, heard)
  await runExamples(t, checkout, examples)
})

/** The anchors of a page, as GitHub makes them of its headings. */
function headingsIn (page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'))
}
