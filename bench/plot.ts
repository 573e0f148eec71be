/** The plot: for each goal that has a rival, where it lies and what was reached, as SVG. */
import { judge, type Goal, type Measured } from './measuring.ts'

const ROW_HEIGHT = 34
const LEFT = 430
const WIDTH = 900
const TOP = 46
/** Goals lie at 1: a bar that gets so far has reached its own. */
const SCALE = (WIDTH - LEFT - 60) / 2

export function plotOf (measured: readonly Measured[]): string {
  const rows = measured.flatMap(each => each.of.goals.map(goal => rowOf(goal, each)).filter(row => row !== null))
  const height = TOP + rows.length * ROW_HEIGHT + 20
  const goalAt = LEFT + SCALE
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="${goalAt}" y="20" text-anchor="middle" fill="#333">the goal</text>
<line x1="${goalAt}" x2="${goalAt}" y1="26" y2="${height - 10}" stroke="#333" stroke-dasharray="4 3"/>
${rows.map((row, place) => barOf(row, TOP + place * ROW_HEIGHT)).join('\n')}
</svg>
`
}

interface Row {
  label: string
  /** How far towards the goal, 1 being there. */
  reach: number
  from: number
  to: number
  figure: string
}

function rowOf (goal: Goal, each: Measured): Row | null {
  const verdict = judge(goal, each)
  if (!verdict) return null
  const { median, min, max } = verdict.figure
  const towards = (value: number): number => goal.least === undefined ? (goal.most ?? NaN) / value : value / goal.least
  const [from = NaN, to = NaN] = [towards(min), towards(max)].sort((a, b) => a - b)
  return { label: `${each.of.row}. ${each.of.name}${goal.rival === null ? '' : ` against ${goal.rival}`}`, reach: towards(median), from, to, figure: median < 100 ? median.toFixed(2) : Math.round(median).toString() }
}

function barOf ({ label, reach, from, to, figure }: Row, y: number): string {
  const xOf = (value: number): number => Math.round(LEFT + Math.min(value, 2) * SCALE)
  const middle = y + ROW_HEIGHT / 2
  return `<text x="${LEFT - 10}" y="${middle + 4}" text-anchor="end" fill="#333">${escaped(label)}</text>
<rect x="${LEFT}" y="${y + 7}" width="${xOf(reach) - LEFT}" height="${ROW_HEIGHT - 14}" fill="${reach >= 1 ? '#3a7d44' : '#b5473c'}"/>
<line x1="${xOf(from)}" x2="${xOf(to)}" y1="${middle}" y2="${middle}" stroke="#111" stroke-width="2"/>
<text x="${xOf(Math.max(reach, to)) + 8}" y="${middle + 4}" fill="#333">${figure}</text>`
}

function escaped (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
