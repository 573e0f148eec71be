/** Measures contenders by turns, and holds each against its rival within one round: what the neighbours on the machine take, they take from all. */

export interface Contender {
  name: string
  /** Before the first round: starts and warms up what is measured, which then waits for its turns beside the others. */
  open?: () => Promise<void>
  /** One measurement of a few seconds, in the unit of its case. */
  measure: () => Promise<number>
  /** Whether it was opened or not. */
  close?: () => Promise<void>
}

/** What was set out to be reached: of the first contender, against another, or (`rival: null`) in the unit itself. */
export interface Goal {
  rival: string | null
  least?: number
  most?: number
}

export interface Case {
  row: number
  name: string
  title: string
  unit: string
  goals: readonly Goal[]
  contenders: readonly Contender[]
}

export interface Spread {
  median: number
  min: number
  max: number
}

export interface Measured {
  of: Case
  values: ReadonlyMap<string, Spread>
  /** The first contender divided by each other one, round by round. */
  ratios: ReadonlyMap<string, Spread>
}

/** @param tell is told of each value as it comes */
export async function measureByTurns (each: Case, rounds: number, tell: (line: string) => void): Promise<Measured> {
  const values = new Map<string, number[]>(each.contenders.map(({ name }) => [name, []]))
  try {
    for (const { open } of each.contenders) await open?.()
    for (let round = 1; round <= rounds; round++) {
      for (const { name, measure } of each.contenders) {
        const value = await measure()
        values.get(name)?.push(value)
        tell(`${each.name} ${round}/${rounds}: ${name} ${value.toPrecision(4)} ${each.unit}`)
      }
    }
  } finally {
    for (const { close } of each.contenders) await close?.()
  }
  const [first = []] = values.values()
  const ratiosTo = (others: readonly number[]): number[] => first.map((value, round) => value / (others[round] ?? NaN))
  return {
    of: each,
    values: new Map([...values].map(([name, list]) => [name, spreadOf(list)])),
    ratios: new Map([...values].slice(1).map(([name, list]) => [name, spreadOf(ratiosTo(list))]))
  }
}

export function spreadOf (values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (place: number): number => sorted[place] ?? NaN
  const middle = (sorted.length - 1) / 2
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) }
}

/** @returns the figure that the goal is about, and whether it is reached by the median; `null` if the rival was not there */
export function judge (goal: Goal, { of, values, ratios }: Measured): { figure: Spread, reached: boolean } | null {
  const figure = goal.rival === null ? values.get(of.contenders[0]?.name ?? '') : ratios.get(goal.rival)
  if (!figure) return null
  return { figure, reached: figure.median >= (goal.least ?? -Infinity) && figure.median <= (goal.most ?? Infinity) }
}
