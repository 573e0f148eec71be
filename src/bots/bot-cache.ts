/**
 * Bots and the digests of their secrets as this process last read them: so that a token costs no query, and so that
 * the database may be away for a while. Bounded, and emptied by every change that is heard of.
 */
import type { Bot, StoredSecret } from './bot.ts'
import type { BotReader, SecretRegistry } from './bot-registry.ts'

export interface BotCache extends Pick<BotReader, 'find' | 'findByCognitoClient'> {
  secretsOf: (bot: string) => Promise<readonly StoredSecret[]>
  /** Forgets everything: something has changed. */
  clear: () => void
}

const MOST_ENTRIES = 10_000

export function createBotCache (bots: BotReader, secrets: Pick<SecretRegistry, 'list'>): BotCache {
  const byName = createCache<Bot | null>(bots.find)
  const byClient = createCache<Bot | null>(bots.findByCognitoClient)
  const secretsByBot = createCache<readonly StoredSecret[]>(secrets.list)
  return {
    find: byName.get,
    findByCognitoClient: byClient.get,
    secretsOf: secretsByBot.get,
    clear () {
      for (const cache of [byName, byClient, secretsByBot]) cache.clear()
    }
  }
}

/** Keeps what was asked for last. An answer that was under way when the cache was cleared is not kept. */
function createCache<T> (read: (key: string) => Promise<T>): { get: (key: string) => Promise<T>, clear: () => void } {
  let entries = new Map<string, T>()

  return {
    async get (key) {
      const known = entries.get(key)
      if (known !== undefined) {
        entries.delete(key)
        entries.set(key, known)
        return known
      }
      const asked = entries
      const answer = await read(key)
      asked.set(key, answer)
      const [oldest] = asked.size > MOST_ENTRIES ? asked.keys() : []
      if (oldest !== undefined) asked.delete(oldest)
      return answer
    },
    clear () { entries = new Map() }
  }
}
