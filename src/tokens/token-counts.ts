/**
 * How many tokens are alive, by key, bot and minute of `exp`: what an act on a key would break, known beforehand.
 * Counted in memory, written once a second at most, never one row a token. It may lag two seconds; a crash loses that much of it.
 */
import type { Clock } from '../keys/signing-key.ts'

/** What happened since the last flush. */
export interface CountChanges {
  readonly issued: ReadonlyArray<{ kid: string, bot: string, expMinute: number, tokens: number }>
  /** When a token of the key was last minted or verified here. */
  readonly used: ReadonlyMap<string, Date>
  /** Tokens of legacy keys that were verified here. */
  readonly legacySeen: ReadonlyArray<{ kid: string, bot: string, tokens: number, lastSeenAt: Date }>
}

export interface KeyCounts {
  /** Ever. */
  readonly issued: number
  readonly liveUntil: Date | null
  /** Names of bots with living tokens. */
  readonly bots: readonly string[]
  readonly liveTokens: number
  readonly lastUsedAt: Date | null
}

export interface LegacyUse {
  readonly bot: string
  readonly tokens: number
  readonly lastSeenAt: Date
}

/** Where counts are kept. Throws `StoreUnavailable`. */
export interface CountStore {
  add: (changes: CountChanges, now: Date) => Promise<void>
  /** By kid; a kid without tokens is missing. */
  read: (now: Date) => Promise<ReadonlyMap<string, KeyCounts>>
  /** By kid of a legacy key, the bot seen last first. */
  readLegacy: () => Promise<ReadonlyMap<string, readonly LegacyUse[]>>
}

export interface TokenCounts {
  issued: (kid: string, bot: string, exp: number) => void
  verified: (kid: string, now: Date) => void
  legacySeen: (kid: string, bot: string) => void
  /** Writes what was counted since the last time. */
  flush: () => Promise<void>
  /** Writes once a second. @returns a function that ends it */
  start: (onFailure: (error: unknown) => void) => () => void
}

const FLUSH_EVERY_MS = 1_000

export function createTokenCounts (store: CountStore, clock: Clock): TokenCounts {
  let issued = new Map<string, CountChanges['issued'][number]>()
  let used = new Map<string, Date>()
  let legacySeen = new Map<string, CountChanges['legacySeen'][number]>()

  function countIssued ({ kid, bot, expMinute, tokens }: CountChanges['issued'][number]): void {
    const key = `${kid} ${bot} ${expMinute}`
    issued.set(key, { kid, bot, expMinute, tokens: (issued.get(key)?.tokens ?? 0) + tokens })
  }

  function countSeen ({ kid, bot, tokens, lastSeenAt }: CountChanges['legacySeen'][number]): void {
    const key = `${kid} ${bot}`
    legacySeen.set(key, { kid, bot, tokens: (legacySeen.get(key)?.tokens ?? 0) + tokens, lastSeenAt })
  }

  async function flush (): Promise<void> {
    if (issued.size === 0 && used.size === 0 && legacySeen.size === 0) return
    const changes = { issued: [...issued.values()], used, legacySeen: [...legacySeen.values()] }
    issued = new Map()
    used = new Map()
    legacySeen = new Map()
    try {
      await store.add(changes, clock())
    } catch (error) {
      changes.issued.forEach(countIssued)
      changes.legacySeen.forEach(countSeen)
      used = new Map([...changes.used, ...used])
      throw error
    }
  }

  return {
    issued (kid, bot, exp) {
      countIssued({ kid, bot, expMinute: Math.ceil(exp / 60), tokens: 1 })
      used.set(kid, clock())
    },
    verified (kid, now) { used.set(kid, now) },
    legacySeen (kid, bot) { countSeen({ kid, bot, tokens: 1, lastSeenAt: clock() }) },
    flush,
    start (onFailure) {
      const timer = setInterval(() => { flush().catch(onFailure) }, FLUSH_EVERY_MS).unref()
      return () => { clearInterval(timer) }
    }
  }
}
