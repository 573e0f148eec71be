/** Keeps what this process holds in memory up to date with a database that others change too: the command line, other processes. */

export interface ChangeWatch {
  /** Reads anew what has changed since the last look, if anything has. One look at a time: an older read never overtakes a newer one. Throws if the database is away. */
  catchUp: () => Promise<void>
  /** When the database last answered. */
  lastSeenAt: () => Date
  /** Looks twice a second. @returns a function that ends it */
  start: (onFailure: (error: unknown) => void) => () => void
}

/** Reads what has changed since `version`, which is known already. */
export type Refresh = (version: number) => Promise<void>

const LOOK_EVERY_MS = 500
const NOTHING_KNOWN = -1

export function watchChanges (parts: { version: () => Promise<number>, refresh: readonly Refresh[], clock: () => Date }): ChangeWatch {
  let known = NOTHING_KNOWN
  let lastSeenAt = parts.clock()
  let looking: Promise<void> = Promise.resolve()

  async function look (): Promise<void> {
    const version = await parts.version()
    if (version !== known) {
      for (const refresh of parts.refresh) await refresh(known)
      known = version
    }
    lastSeenAt = parts.clock()
  }

  async function catchUp (): Promise<void> {
    const next = looking.then(look)
    looking = next.catch(() => { /* whoever waits for it hears of it */ })
    await next
  }

  return {
    catchUp,
    lastSeenAt: () => lastSeenAt,
    start (onFailure) {
      let timer: NodeJS.Timeout
      let stopped = false
      const lookAgain = async (): Promise<void> => {
        await catchUp().catch(onFailure)
        if (!stopped) timer = setTimeout(() => { void lookAgain() }, LOOK_EVERY_MS).unref()
      }
      void lookAgain()
      return () => {
        stopped = true
        clearTimeout(timer)
      }
    }
  }
}
