/** docs/operations.md is run, from its first command to its last, on the machine of docs/deploy-bare-metal.md. */
import { readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { examplesOf, runExamples } from './fakes/examples.ts'
import { bareMachine } from './fakes/machine.ts'
import { freePort, freshShell } from './fakes/shell.ts'

t.setTimeout(480_000)

const read = (path: string): string => readFileSync(new URL(`../docs/${path}`, import.meta.url), 'utf8')
const page = read('operations.md')
const FIRST = ['1. Install', '2. Settings', '3. The master key', '4. Start']

await t.test('its commands', async t => {
  const port = String(await freePort())
  const machine = bareMachine(t)
  writeFileSync(join(machine.folder, 'cognito.env'), `MINTMARK_PORT=${port}\n`)
  const examples = (text: string) => examplesOf(machine.relocate(text.replaceAll('8590', port)))
  const before = examples(read('deploy-bare-metal.md')).filter(({ heading }) => FIRST.includes(heading))
  const shell = freshShell(machine.folder, { PATH: [machine.programs, process.env.PATH].join(delimiter) })
  await runExamples(t, shell, [...before, ...examples(page)])
})

await t.test('it knows what to do about each alert', async t => {
  const { groups } = parse(read('monitoring/alerts.yaml')) as { groups: Array<{ rules: Array<{ alert: string }> }> }
  const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert))
  t.strictSame([...page.matchAll(/^\| `(Mintmark\w+)` \|/gm)].map(([, alert]) => alert), alerts)
})
