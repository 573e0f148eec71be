/** What goes on beside the requests: looking for changes, rotating keys, writing down what was counted. */
import type { Parts } from './parts.ts'
import type { Log } from './telemetry/log.ts'

/** Starts it. @returns a function that ends it after the last request: writes what is left, and closes the parts */
export function startBackground ({ changes, rotator, secretUsage, tokenCounts, assertions, close }: Parts, log: Log): () => Promise<void> {
  const onFailure = (error: unknown): void => { log.error({ err: error }, 'the database is away or cannot be written; trying again') }
  const running = [changes, rotator, secretUsage, tokenCounts, assertions].map(part => part.start(onFailure))

  return async () => {
    for (const stop of running) stop()
    await secretUsage.flush().catch(onFailure)
    await tokenCounts.flush().catch(onFailure)
    await close()
  }
}
