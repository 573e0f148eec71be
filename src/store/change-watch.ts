/**
 * Keeps what this process holds in memory up to date with a database that others change too: the command line, other processes.
 * It also knows the database's clock, by which all of them go.
 */
import type { Look } from './database.ts'

export interface ChangeWatch {
  /** Reads anew what has changed since the last look, if anything has. One look at a time: an older read never overtakes a newer one. Throws if the database is away. */
  catchUp: () => Promise<void>
  /** Of what is held in memory: that of the database, when it was last seen. */
  version: () => number
  /** Since the database was asked that which it has answered last. @param now by the database's clock */
  secondsSinceSeen: (now?: Date) => number
  /** How far the database's clock is ahead of this machine's, in milliseconds. */
  clockOffsetMs: () => number
  /** Looks twice a second, and at once when told of a change. @returns a function that ends it */
  start: (onFailure: (error: unknown) => void) => () => void
}

/** Reads what has changed since `version`, which is known already. */
export type Refresh = (version: number) => Promise<void>

export interface WatchParts {
  look: (clock: () => Date) => Promise<Look>
  listen: (onChange: () => void) => () => void
  refresh: readonly Refresh[]
  /** This machine's clock. */
  clock: () => Date
  /** Told after each look how far the database's clock is ahead. */
  onOffset?: (milliseconds: number) => void
}

const LOOK_EVERY_MS = 500
const NOTHING_KNOWN = -1
/** The look with the quickest answer knows the clock best; but clocks drift, so that old looks count for nothing. */
const LOOKS_THAT_COUNT = 20

export function watchChanges ({ look, listen, refresh, clock, onOffset }: WatchParts): ChangeWatch {
  let known = NOTHING_KNOWN
  let lastSeenAt = clock()
  let looking: Promise<void> = Promise.resolve()
  let waiting: Promise<void> | undefined
  let looks: Look[] = []

  let clockOffsetMs = 0

  async function lookOnce (): Promise<void> {
    const askedAt = clock()
    const seen = await look(clock)
    looks = [...looks.filter(earlier => agree(earlier, seen)), seen].slice(-LOOKS_THAT_COUNT)
    clockOffsetMs = looks.toSorted((a, b) => a.uncertaintyMs - b.uncertaintyMs)[0]?.clockOffsetMs ?? 0
    if (seen.version !== known) {
      for (const read of refresh) await read(known)
      known = seen.version
    }
    onOffset?.(clockOffsetMs)
    lastSeenAt = askedAt // what has changed while the answer was on its way may be missing
  }

  /** Whoever comes while a look waits for its turn shares it: many changes at once cost one look more, not one each. */
  async function catchUp (): Promise<void> {
    waiting ??= looking.then(async () => {
      waiting = undefined
      await lookOnce()
    })
    looking = waiting.catch(() => { /* whoever waits for it hears of it */ })
    await waiting
  }

  return {
    catchUp,
    version: () => known,
    secondsSinceSeen: now => ((now ? now.getTime() - clockOffsetMs : clock().getTime()) - lastSeenAt.getTime()) / 1000,
    clockOffsetMs: () => clockOffsetMs,
    start (onFailure) {
      let timer: NodeJS.Timeout
      let stopped = false
      const lookAgain = async (): Promise<void> => {
        await catchUp().catch(onFailure)
        if (!stopped) timer = setTimeout(() => { void lookAgain() }, LOOK_EVERY_MS).unref()
      }
      void lookAgain()
      const endListening = listen(() => { catchUp().catch(onFailure) })
      return () => {
        stopped = true
        clearTimeout(timer)
        endListening()
      }
    }
  }
}

/** Two looks cannot both be right if they differ by more than they are sure of: then a clock was set in between. */
function agree (one: Look, other: Look): boolean {
  return Math.abs(one.clockOffsetMs - other.clockOffsetMs) <= one.uncertaintyMs + other.uncertaintyMs + DRIFT_MS
}

const DRIFT_MS = 20
