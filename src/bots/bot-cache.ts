/**
 * Bots and the digests of their secrets as this process last read them: so that a token costs no query, and so that
 * the database may be away for a while. Bounded. After a change somewhere everything is asked for anew; yet an answer from
 * before still serves while the database is away, within the staleness promise of whoever asks.
 */
import type { Bot, StoredSecret } from './bot.ts'
import type { BotReader, SecretRegistry } from './bot-registry.ts'

export interface BotCache extends Pick<BotReader, 'find' | 'findByCognitoClient'> {
  secretsOf: (bot: string) => Promise<readonly StoredSecret[]>
  /** Something has changed somewhere: asks anew, and falls back on what it knew only where it cannot ask. */
  expire: () => void
  /** This bot was changed here: what was known of it must not serve again. */
  forget: (bot: string) => void
}

const MOST_ENTRIES = 10_000

/** @param isUnavailable tells the database's being away from any other failure */
export function createBotCache (bots: BotReader, secrets: Pick<SecretRegistry, 'list'>, isUnavailable: (error: unknown) => boolean): BotCache {
  const byName = createCache<Bot | null>(bots.find, isUnavailable)
  const byClient = createCache<Bot | null>(bots.findByCognitoClient, isUnavailable)
  const secretsByBot = createCache<readonly StoredSecret[]>(secrets.list, isUnavailable)
  return {
    find: byName.get,
    findByCognitoClient: byClient.get,
    secretsOf: secretsByBot.get,
    expire () { for (const cache of [byName, byClient, secretsByBot]) cache.expire() },
    forget (bot) {
      byName.forget(name => name === bot)
      byClient.forget((_clientId, known) => known === null || known.name === bot)
      secretsByBot.forget(name => name === bot)
    }
  }
}

interface Cache<T> {
  get: (key: string) => Promise<T>
  expire: () => void
  forget: (isConcerned: (key: string, value: T) => boolean) => void
}

/** Keeps what was asked for last. An answer that was under way when the cache expired has expired, too. */
function createCache<T> (read: (key: string) => Promise<T>, isUnavailable: (error: unknown) => boolean): Cache<T> {
  const entries = new Map<string, { value: T, age: number }>()
  let age = 0
  let ageOfLastForgetting = 0

  function keep (key: string, value: T, atAge: number): void {
    if (atAge < ageOfLastForgetting || atAge < (entries.get(key)?.age ?? 0)) return
    entries.delete(key)
    entries.set(key, { value, age: atAge })
    if (entries.size > MOST_ENTRIES) dropOldest()
  }

  function dropOldest (): void {
    const [oldest] = entries.keys()
    if (oldest !== undefined) entries.delete(oldest)
  }

  return {
    async get (key) {
      const known = entries.get(key)
      if (known?.age === age) {
        entries.delete(key)
        entries.set(key, known) // it was asked for last
        return known.value
      }
      const askedAtAge = age
      try {
        const answer = await read(key)
        keep(key, answer, askedAtAge)
        return answer
      } catch (error) {
        const before = isUnavailable(error) ? entries.get(key) : undefined
        if (!before) throw error
        return before.value
      }
    },
    expire () { age++ },
    forget (isConcerned) {
      ageOfLastForgetting = ++age
      for (const [key, { value }] of entries) if (isConcerned(key, value)) entries.delete(key)
    }
  }
}
