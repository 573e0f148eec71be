/** Writes down what was measured: ratios first, then what they are ratios of. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { judge, type Goal, type Measured, type Spread } from './measuring.ts'
import { plotOf } from './plot.ts'
import { isThere, run } from './programs.ts'

const FOLDER = new URL('.', import.meta.url).pathname

/** As Markdown. */
export function describe (measured: readonly Measured[]): string {
  const ratios = measured.flatMap(each => each.of.goals.map(goal => [String(each.of.row), each.of.title, wordsFor(goal), ...verdictOf(goal, each)]))
  const values = measured.flatMap(({ of: { row, title, unit }, values }) => [...values].map(([name, spread]) => [String(row), title, name, `${shown(spread)} ${unit}`]))
  return `${table(['row', 'what', 'goal', 'measured', ''], ratios)}\n\n${table(['row', 'what', 'who', 'median (min–max)'], values)}\n`
}

const AWAKE = `
Cores that wait were kept from halting (\`/dev/cpu_dma_latency\`): on a virtual machine a server pays for waking up a client on the same
machine with each answer, which none does whose clients are elsewhere.
`

/** @param isAwake whether cores that wait were kept from halting */
export function writeResults (measured: readonly Measured[], { rounds, seconds, isAwake }: { rounds: number, seconds: number, isAwake: boolean }): void {
  writeFileSync(`${FOLDER}results.svg`, plotOf(measured))
  writeFileSync(`${FOLDER}RESULTS.md`, `# Results

Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}. ${machine()}

${rounds} rounds of ${seconds} seconds each (after 80,000 requests for warming up, 60,000 where every token is new, 40,000 for growth, 20,000 where
tokens are minted; the tail is measured for 10 seconds, after 8 of the same load). All contenders of a row are up side by side, but for
those that must not remember the tokens of the round before, and take turns within a round. Seconds are such of the CPU
time that the server took, since the machine is shared; only on two cores they are seconds on the wall, and worth as much as the cores
were free. A ratio is one within a round. Figures are medians (least–most). Only ratios travel to other machines.
${isAwake ? AWAKE : ''}
What is measured has one core, what measures it the other. Ours is the server as a user starts it: its own process, SQLite, metrics and log on.

![Each row against its rivals](results.svg)

${describe(measured)}`)
}

function wordsFor ({ rival, least, most }: Goal): string {
  const bound = least === undefined ? `at most ${most ?? ''}` : `at least ${least}`
  return rival === null ? bound : `${bound} × ${rival}`
}

function verdictOf (goal: Goal, each: Measured): [string, string] {
  const verdict = judge(goal, each)
  return verdict ? [shown(verdict.figure), verdict.reached ? 'reached' : '**missed**'] : ['–', `${goal.rival ?? ''} was not here`]
}

function shown ({ median, min, max }: Spread): string {
  const digits = median < 100 ? 2 : 0
  const text = (value: number): string => value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return `${text(median)} (${text(min)}–${text(max)})`
}

function table (heads: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  return [heads, heads.map(() => '---'), ...rows].map(row => `| ${row.join(' | ')} |`).join('\n')
}

function machine (): string {
  const versions = [
    `Node ${process.version}`,
    `Fastify ${versionOf('fastify')}`,
    ...isThere('openssl') ? [run('0', ['openssl', 'version']).trim()] : [],
    ...isThere('haproxy') ? [/HAProxy version \S+/.exec(run('0', ['haproxy', '-v']))?.[0] ?? 'HAProxy'] : ['HAProxy was not here']
  ]
  return `${cpus().length} cores of ${cpus()[0]?.model.trim() ?? 'an unknown kind'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim()}; ${versions.join(', ')}.`
}

function versionOf (name: string): string {
  return (JSON.parse(execFileSync('node', ['-p', `JSON.stringify(require('${name}/package.json'))`], { encoding: 'utf8' })) as { version: string }).version
}
