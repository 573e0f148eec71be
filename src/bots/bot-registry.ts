import type { Bot, StoredSecret } from './bot.ts'

export interface Page {
  readonly limit: number
  /** The name after which the page begins. */
  readonly after?: string | undefined
}

/** Where bots are kept. Implementations throw `StoreUnavailable` when it cannot be reached or written. */
export interface BotRegistry {
  find: (name: string) => Promise<Bot | null>
  /** Bots by name. */
  list: (page: Page) => Promise<readonly Bot[]>
  /** Makes the bot, and its first secret with it. @returns false, and changes nothing, if the name is taken */
  create: (bot: Bot, secret?: StoredSecret) => Promise<boolean>
  /** Applies `change` to the latest state in one transaction. @returns the bot as it is afterwards, `null` if there is none */
  update: (name: string, change: (bot: Bot) => Bot) => Promise<Bot | null>
  /** Names of the bots that are switched off: their tokens are refused at every door. */
  disabled: () => Promise<ReadonlySet<string>>
}

/** Where the digests of client secrets are kept. */
export interface SecretRegistry {
  /** The secrets of one bot, the newest first. */
  list: (bot: string) => Promise<readonly StoredSecret[]>
  /** @returns false, and changes nothing, if there is no such bot */
  add: (secret: StoredSecret) => Promise<boolean>
  /** @returns false if there was none */
  remove: (bot: string, id: string) => Promise<boolean>
}
