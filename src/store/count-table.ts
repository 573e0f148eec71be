import type { Transaction } from 'kysely'
import type { CountChanges, CountStore, KeyCounts, LegacyUse } from '../tokens/token-counts.ts'
import type { Database } from './database.ts'
import type { Tables } from './schema.ts'

export function createCountStore (database: Database): CountStore {
  return {
    async add (changes, now) {
      await database.append(async transaction => {
        await addIssued(transaction, changes.issued)
        await addUses(transaction, changes)
        await addLegacy(transaction, changes.legacySeen)
        await transaction.deleteFrom('live_tokens').where('exp_minute', '<', minuteOf(now)).execute()
      })
    },

    read: async now => await database.read(async db => {
      const alive = await db.selectFrom('live_tokens').select(eb => ['kid', 'bot', eb.fn.sum<number>('tokens').as('tokens'), eb.fn.max('exp_minute').as('until')])
        .where('exp_minute', '>', minuteOf(now)).groupBy(['kid', 'bot']).orderBy('bot').execute()
      const uses = await db.selectFrom('key_uses').selectAll().execute()
      const living = Map.groupBy(alive, row => row.kid)
      return new Map(uses.map((use): [string, KeyCounts] => {
        const rows = living.get(use.kid) ?? []
        return [use.kid, {
          issued: use.issued,
          lastUsedAt: new Date(use.last_used_at),
          bots: rows.map(row => row.bot),
          liveTokens: rows.reduce((sum, row) => sum + row.tokens, 0),
          liveUntil: rows.length > 0 ? new Date(Math.max(...rows.map(row => row.until)) * 60_000) : null
        }]
      }))
    }),

    readLegacy: async () => await database.read(async db => {
      const rows = await db.selectFrom('legacy_uses').selectAll().orderBy('last_seen_at', 'desc').execute()
      const byKid = Map.groupBy(rows, row => row.kid)
      return new Map([...byKid].map(([kid, uses]): [string, LegacyUse[]] =>
        [kid, uses.map(use => ({ bot: use.bot, tokens: use.tokens, lastSeenAt: new Date(use.last_seen_at) }))]))
    })
  }
}

/** At the top of the hour every bot asks: a statement for each would cost as much as its signature. */
const ROWS_AT_ONCE = 200

async function addIssued (transaction: Transaction<Tables>, issued: CountChanges['issued']): Promise<void> {
  // In one order, whoever writes: two replicas that lock the same rows must not wait for each other.
  const rows = issued.toSorted((a, b) => compare(a.kid, b.kid) || compare(a.bot, b.bot) || a.expMinute - b.expMinute)
    .map(({ kid, bot, expMinute, tokens }) => ({ kid, bot, exp_minute: expMinute, tokens }))
  for (let place = 0; place < rows.length; place += ROWS_AT_ONCE) {
    await transaction.insertInto('live_tokens').values(rows.slice(place, place + ROWS_AT_ONCE))
      .onConflict(conflict => conflict.columns(['kid', 'bot', 'exp_minute']).doUpdateSet(eb => ({ tokens: eb('live_tokens.tokens', '+', eb.ref('excluded.tokens')) }))).execute()
  }
}

async function addUses (transaction: Transaction<Tables>, { issued, used }: CountChanges): Promise<void> {
  for (const [kid, at] of [...used].sort(([a], [b]) => compare(a, b))) {
    const tokens = issued.filter(row => row.kid === kid).reduce((sum, row) => sum + row.tokens, 0)
    await transaction.insertInto('key_uses').values({ kid, issued: tokens, last_used_at: at.getTime() })
      .onConflict(conflict => conflict.column('kid').doUpdateSet(eb => ({ issued: eb('key_uses.issued', '+', tokens), last_used_at: at.getTime() }))).execute()
  }
}

async function addLegacy (transaction: Transaction<Tables>, seen: CountChanges['legacySeen']): Promise<void> {
  for (const { kid, bot, tokens, lastSeenAt } of seen.toSorted((a, b) => compare(a.kid, b.kid) || compare(a.bot, b.bot))) {
    await transaction.insertInto('legacy_uses').values({ kid, bot, tokens, last_seen_at: lastSeenAt.getTime() })
      .onConflict(conflict => conflict.columns(['kid', 'bot']).doUpdateSet(eb => ({ tokens: eb('legacy_uses.tokens', '+', tokens), last_seen_at: lastSeenAt.getTime() }))).execute()
  }
}

function compare (a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function minuteOf (date: Date): number {
  return Math.floor(date.getTime() / 60_000)
}
