/**
 * Which bots trust which workload issuers, in memory: read anew whenever something has changed, so that a token is exchanged
 * without a query, and goes on being exchanged while the database is away.
 */
import type { Bot, TrustRule } from './bot.ts'

/** Where bots are kept. Throws `StoreUnavailable`. */
export interface TrustingBots {
  /** Every bot that has trust rules, by name. */
  list: () => Promise<readonly Bot[]>
}

export interface TrustBook {
  /** The rules for tokens of `issuer`, and whose they are. */
  rulesFor: (issuer: string) => ReadonlyArray<{ readonly bot: Bot, readonly rule: TrustRule }>
  /** Reads the store anew. */
  refresh: () => Promise<void>
}

export function createTrustBook (store: TrustingBots): TrustBook {
  let byIssuer = new Map<string, Array<{ bot: Bot, rule: TrustRule }>>()
  return {
    rulesFor: issuer => byIssuer.get(issuer) ?? [],
    async refresh () {
      const entries = (await store.list()).flatMap(bot => bot.trust.map(rule => ({ bot, rule })))
      byIssuer = Map.groupBy(entries, ({ rule }) => rule.issuer)
    }
  }
}
