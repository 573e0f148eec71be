/** For which assertions a token was had: each is good once, over all replicas, so that it is written down before the token is made. */

/** Where used assertions are kept. Throws `StoreUnavailable`. */
export interface AssertionStore {
  /**
   * Takes down that `bot` has used the assertion `jti`.
   * @param until seconds since the epoch: it could not be used later anyway
   * @returns false if it was used before
   */
  use: (bot: string, jti: string, until: number) => Promise<boolean>
  /** Forgets those that could not be used any more before `second`. */
  forget: (second: number) => Promise<void>
}

export interface AssertionLog extends Pick<AssertionStore, 'use'> {
  /** Forgets what is over. */
  sweep: () => Promise<void>
  /** Sweeps now and then. @returns a function that ends it */
  start: (onFailure: (error: unknown) => void) => () => void
}

const SWEEP_EVERY_MS = 60_000
/** Replicas' clocks differ, and one that lags must not find an assertion forgotten that it still takes. */
const GRACE_SECONDS = 3_600

export function createAssertionLog (store: AssertionStore, clock: () => Date): AssertionLog {
  async function sweep (): Promise<void> {
    await store.forget(Math.floor(clock().getTime() / 1000) - GRACE_SECONDS)
  }
  return {
    use: store.use,
    sweep,
    start (onFailure) {
      const timer = setInterval(() => { sweep().catch(onFailure) }, SWEEP_EVERY_MS).unref()
      return () => { clearInterval(timer) }
    }
  }
}
