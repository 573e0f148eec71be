/**
 * Keys that were made and not needed yet. To find the primes of one takes a tenth of a second of a core, or a whole one: time that
 * tokens would have to wait for. So one is kept ready, made when there is little else to do.
 */
import { performance } from 'node:perf_hooks'
import type { KeyVault } from './key-vault.ts'
import type { NewKey } from './rotation-plan.ts'

export interface SpareKeys {
  all: () => readonly NewKey[]
  /** Makes one more. Calls that overlap share it. Throws what the vault throws. */
  makeOne: () => Promise<void>
  /** Those that have their place elsewhere are spare no more. */
  drop: (kids: ReadonlySet<string>) => void
  /** Has one ready from now on. @returns a function that ends it */
  start: (onFailure: (error: unknown) => void) => () => void
}

/** Whoever has just started has not much to lose: its code is cold, and who balances load gives it little. */
const FIRST_AFTER_MS = 1_000
const LOOK_EVERY_MS = 10_000

/** @param isBusy whether there was much else to do since it was last asked */
export function createSpareKeys (vault: Pick<KeyVault, 'generate'>, isBusy = watchEventLoop()): SpareKeys {
  let spares: readonly NewKey[] = []
  let making: Promise<void> | undefined

  async function make (): Promise<void> {
    try {
      spares = [...spares, await vault.generate()]
    } finally {
      making = undefined
    }
  }

  const makeOne = async (): Promise<void> => { await (making ??= make()) }

  return {
    all: () => spares,
    makeOne,
    drop (kids) { spares = spares.filter(({ kid }) => !kids.has(kid)) },
    start (onFailure) {
      let timer: NodeJS.Timeout | undefined
      let stopped = false
      const wait = (milliseconds: number, mayMake: () => boolean): void => {
        if (!stopped) timer = setTimeout(() => { void look(mayMake()) }, milliseconds).unref()
      }
      const look = async (mayMake: boolean): Promise<void> => {
        if (mayMake && spares.length === 0) await makeOne().catch(onFailure)
        wait(LOOK_EVERY_MS, () => !isBusy())
      }
      wait(FIRST_AFTER_MS, () => true)
      return () => {
        stopped = true
        clearTimeout(timer)
      }
    }
  }
}

/** @returns whether the event loop had work for more than half of the time since it was last asked */
export function watchEventLoop (): () => boolean {
  let before = performance.eventLoopUtilization()
  return () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    return utilization > 0.5
  }
}
