/** Keeps what this process holds in memory up to date with a database that others change too: the command line, other processes. */

export interface ChangeWatch {
  /** Reads anew what has changed since the last look, if anything has. Throws if the database is away. */
  catchUp: () => Promise<void>
  /** When the database last answered. */
  lastSeenAt: () => Date
  /** Looks twice a second. @returns a function that ends it */
  start: (onFailure: (error: unknown) => void) => () => void
}

const LOOK_EVERY_MS = 500

/** @param parts.refresh what to read anew when `version` has moved on */
export function watchChanges (parts: { version: () => Promise<number>, refresh: ReadonlyArray<() => Promise<void>>, clock: () => Date }): ChangeWatch {
  let known = -1
  let lastSeenAt = parts.clock()

  async function catchUp (): Promise<void> {
    const version = await parts.version()
    if (version !== known) {
      for (const refresh of parts.refresh) await refresh()
      known = version
    }
    lastSeenAt = parts.clock()
  }

  return {
    catchUp,
    lastSeenAt: () => lastSeenAt,
    start (onFailure) {
      let timer: NodeJS.Timeout
      let stopped = false
      const look = async (): Promise<void> => {
        await catchUp().catch(onFailure)
        if (!stopped) timer = setTimeout(() => { void look() }, LOOK_EVERY_MS).unref()
      }
      void look()
      return () => {
        stopped = true
        clearTimeout(timer)
      }
    }
  }
}
