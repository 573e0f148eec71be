import type { AuditDraft } from '../telemetry/audit.ts'
import type { Bot, StoredSecret } from './bot.ts'

export interface Page {
  readonly limit: number
  /** The name, or the id, after which the page begins. */
  readonly after?: string | undefined
}

export type Created = 'created' | 'name taken' | 'client id taken'
export type Updated = { done: Bot } | { failed: 'no such bot' | 'client id taken' }

/**
 * Where bots are kept. Every change is one transaction with its row in the audit trail.
 * Implementations throw `StoreUnavailable` when it cannot be reached or written.
 */
export interface BotReader {
  find: (name: string) => Promise<Bot | null>
  /** The bot that a machine client of the user pool stands for. */
  findByCognitoClient: (clientId: string) => Promise<Bot | null>
  /** Bots by name. */
  list: (page: Page) => Promise<readonly Bot[]>
}

/** Sees the bot as it is in the transaction of an act on it; throws to refuse, and then nothing is changed. */
export type CheckBot = (bot: Bot) => void

export interface BotWriter {
  /** Makes the bot, and its first secret with it. */
  create: (bot: Bot, secret: StoredSecret | null, event: AuditDraft) => Promise<Created>
  /** Applies `change` to the latest state. `change` may throw to refuse: then nothing is changed. */
  update: (name: string, change: (bot: Bot) => Bot, event: AuditDraft) => Promise<Updated>
  /** Ends the bot with its secrets and, by the cutoff, its tokens. @returns false if there is none */
  remove: (name: string, check: CheckBot, cutoff: Cutoff, event: AuditDraft) => Promise<boolean>
}

/** Tokens issued before a second are dead; times in seconds since the epoch. */
export interface Cutoff {
  readonly notBefore: number
  /** When the last token that it concerns would have expired anyway. */
  readonly until: number
}

/** Where the digests of client secrets are kept. */
export interface SecretRegistry {
  /** The secrets of one bot, the newest first. */
  list: (bot: string) => Promise<readonly StoredSecret[]>
  /** Of all bots, those that expire after `from`, and at `until` at the latest: the first to expire first. */
  listExpiring: (from: Date, until: Date) => Promise<readonly StoredSecret[]>
  /**
   * @param othersExpireAt when all other secrets of the bot expire at the latest; one that does so sooner stays as it is
   * @returns false, and changes nothing, if there is no such bot
   */
  add: (secret: StoredSecret, check: CheckBot, event: AuditDraft, othersExpireAt?: Date) => Promise<boolean>
  /** Lets a secret expire at another date; `change` may throw to refuse. @returns it as it is afterwards, `null` if there is none */
  update: (bot: string, id: string, change: (secret: StoredSecret) => StoredSecret, check: CheckBot, event: AuditDraft) => Promise<StoredSecret | null>
  /** @returns false if there was none */
  remove: (bot: string, id: string, check: CheckBot, event: AuditDraft) => Promise<boolean>
}

/** Where it is written when secrets were last used: many at once, now and then. */
export interface SecretUses {
  record: (uses: ReadonlyMap<string, Date>) => Promise<void>
}
