/**
 * Bots and the digests of their secrets as this process last read them: so that a token costs no query, and so that
 * the database may be away for a while. Bounded. What others change empties it; yet an answer from before still serves
 * while the database is away, within the staleness promise of whoever asks.
 */
import type { Bot, StoredSecret } from './bot.ts'
import type { BotReader, SecretRegistry } from './bot-registry.ts'

export interface BotCache extends Pick<BotReader, 'find' | 'findByCognitoClient'> {
  secretsOf: (bot: string) => Promise<readonly StoredSecret[]>
  /** Something has changed somewhere: asks anew, and falls back on what it knew only where it cannot ask. */
  clear: () => void
  /** Something was changed here: what was known before must not serve again. */
  forget: () => void
}

const MOST_ENTRIES = 10_000

/** @param isUnavailable tells the database's being away from any other failure */
export function createBotCache (bots: BotReader, secrets: Pick<SecretRegistry, 'list'>, isUnavailable: (error: unknown) => boolean): BotCache {
  const byName = createCache<Bot | null>(bots.find, isUnavailable)
  const byClient = createCache<Bot | null>(bots.findByCognitoClient, isUnavailable)
  const secretsByBot = createCache<readonly StoredSecret[]>(secrets.list, isUnavailable)
  const caches = [byName, byClient, secretsByBot]
  return {
    find: byName.get,
    findByCognitoClient: byClient.get,
    secretsOf: secretsByBot.get,
    clear () { for (const cache of caches) cache.clear() },
    forget () { for (const cache of caches) cache.forget() }
  }
}

interface Cache<T> {
  get: (key: string) => Promise<T>
  clear: () => void
  forget: () => void
}

/** Keeps what was asked for last. An answer that was under way when the cache was cleared is not kept. */
function createCache<T> (read: (key: string) => Promise<T>, isUnavailable: (error: unknown) => boolean): Cache<T> {
  let entries = new Map<string, T>()
  let before = new Map<string, T>()

  function keep (kept: Map<string, T>, key: string, value: T): void {
    kept.delete(key)
    kept.set(key, value)
    const [oldest] = kept.size > MOST_ENTRIES ? kept.keys() : []
    if (oldest !== undefined) kept.delete(oldest)
  }

  return {
    async get (key) {
      const known = entries.get(key)
      if (known !== undefined) {
        keep(entries, key, known)
        return known
      }
      const asked = entries
      try {
        const answer = await read(key)
        keep(asked, key, answer)
        return answer
      } catch (error) {
        const fallback = isUnavailable(error) ? before.get(key) : undefined
        if (fallback === undefined) throw error
        return fallback
      }
    },
    clear () {
      for (const [key, value] of entries) keep(before, key, value)
      entries = new Map()
    },
    forget () {
      entries = new Map()
      before = new Map()
    }
  }
}
