/** The benchmarks' arithmetic, and that they start; what they measure is no business of the tests. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { judge, measureByTurns, spreadOf, type Case } from '../bench/measuring.ts'
import { plotOf } from '../bench/plot.ts'
import { isThere } from '../bench/programs.ts'
import { describe } from '../bench/results.ts'

const run = promisify(execFile)

function caseOf (series: Record<string, number[]>, goals: Case['goals']): Case {
  return { row: 1, name: 'sample', title: 'A sample', unit: 'requests/s', goals, contenders: Object.entries(series).map(([name, values]) => ({ name, measure: async () => values.shift() ?? NaN })) }
}

await t.test('a spread is the median with the least and the most', async t => {
  t.strictSame(spreadOf([5, 1, 3]), { median: 3, min: 1, max: 5 })
  t.strictSame(spreadOf([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 })
})

await t.test('ratios are taken within a round, so that a slow one counts for both', async t => {
  const told: string[] = []
  const measured = await measureByTurns(caseOf({ ours: [80, 8, 90], bare: [100, 10, 100] }, []), 3, line => { told.push(line) })
  t.strictSame(measured.ratios.get('bare'), { median: 0.8, min: 0.8, max: 0.9 })
  t.strictSame(told.slice(0, 2), ['sample 1/3: ours 80.00 requests/s', 'sample 1/3: bare 100.0 requests/s'], 'by turns')
})

await t.test('a goal that is missed is said to be missed, and a rival that was not here not to have been here', async t => {
  const goals = [{ rival: 'bare', least: 0.7 }, { rival: 'bare', least: 0.95 }, { rival: 'HAProxy', least: 1.7 }, { rival: null, most: 90 }]
  const measured = await measureByTurns(caseOf({ ours: [80, 80], bare: [100, 90] }, goals), 2, () => undefined)
  t.strictSame(goals.map(goal => judge(goal, measured)?.reached), [true, false, undefined, true])
  const text = describe([measured])
  t.match(text, /\| at least 0\.95 × bare \| 0\.84 \(0\.80–0\.89\) \| \*\*missed\*\* \|/)
  t.match(text, /HAProxy was not here/)
  const plot = plotOf([measured])
  t.equal(plot.match(/<rect x=/g)?.length, 3, 'a bar for each goal that could be judged')
})

await t.test('npm run bench', async t => {
  const failure = await run('node', ['bench/bench.ts', 'no-such-case']).catch((error: unknown) => String(error))
  t.match(failure, /there is no case no-such-case, only auth-known, /)
  if (!isThere('wrk')) return t.pass('wrk is not here')
  const { stdout } = await run('node', ['bench/bench.ts', 'memory', '--rounds', '1'])
  t.match(stdout, /memory 1\/1: mintmark \d+\.?\d* MiB/)
  return undefined
})
