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

/** Whatever else there is to do then: a start takes more of the core than that, and a rotation may come before there is less. */
const FIRST_AFTER_MS = 1_000
const LOOK_EVERY_MS = 10_000

/** @param isBusy whether there was much else to do since it was last asked */
export function createSpareKeys (vault: Pick<KeyVault, 'generate'>, isBusy = watchProcess()): SpareKeys {
  let spares: readonly NewKey[] = []
  let making: Promise<void> | undefined

  async function make (): Promise<void> {
    const made = await vault.generate()
    spares = [...spares, made]
  }

  const makeOne = async (): Promise<void> => { await (making ??= make().finally(() => { making = undefined })) }

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

/** What a process has used up until now, in milliseconds. */
interface Used {
  cpu: number
  wall: number
}

/** @returns whether this process, all of its threads, used more than half of a core since that was last asked */
export function watchProcess (read = readUsed): () => boolean {
  let before = read()
  return () => {
    const now = read()
    const isBusy = now.cpu - before.cpu > (now.wall - before.wall) / 2
    before = now
    return isBusy
  }
}

function readUsed (): Used {
  const { user, system } = process.cpuUsage()
  return { cpu: (user + system) / 1000, wall: performance.now() }
}
