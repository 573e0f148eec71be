/** When secrets were last used: noted in memory, written many at once, since a write for each token would cap how fast they are minted. */
import type { SecretUses } from './bot-registry.ts'

export interface SecretUsage {
  /** @param id of the secret */
  note: (id: string) => void
  /** Writes what was noted since the last time. */
  flush: () => Promise<void>
  /** Writes now and then. @returns a function that ends it */
  start: (onFailure: (error: unknown) => void) => () => void
}

const FLUSH_EVERY_MS = 1_000

/** Those of one second are written together. */
function secondOf (date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000)
}

export function createSecretUsage (store: SecretUses, clock: () => Date): SecretUsage {
  let noted = new Map<string, Date>()

  async function flush (): Promise<void> {
    if (noted.size === 0) return
    const uses = noted
    noted = new Map()
    try {
      await store.record(uses)
    } catch (error) {
      noted = new Map([...uses, ...noted])
      throw error
    }
  }

  return {
    note: id => { noted.set(id, secondOf(clock())) },
    flush,
    start (onFailure) {
      const timer = setInterval(() => { flush().catch(onFailure) }, FLUSH_EVERY_MS).unref()
      return () => { clearInterval(timer) }
    }
  }
}
