import type { Transaction } from 'kysely'
import { GRACE_SECONDS, type RevocationStore } from '../tokens/revocations.ts'
import type { TokenRegistry } from '../tokens/token-registry.ts'
import { botFromRow } from './bot-table.ts'
import { cutOff } from './cutoff.ts'
import type { Database } from './database.ts'
import { record } from './record.ts'
import type { Tables } from './schema.ts'

export function createRevocationStore (database: Database): RevocationStore {
  return {
    changedSince: async version => await database.read(async db => {
      const disabled = await db.selectFrom('bots').select('name').where('enabled', '=', 0).execute()
      const tokens = await db.selectFrom('revoked_tokens').select(['jti', 'exp']).where('version', '>', version).execute()
      const bots = await db.selectFrom('bot_cutoffs').selectAll().where('version', '>', version).execute()
      const runs = await db.selectFrom('revoked_runs').select(['bot', 'run', 'until']).where('version', '>', version).execute()
      return {
        runs,
        disabled: new Set(disabled.map(row => row.name)),
        tokens,
        bots: bots.map(row => ({ name: row.bot, notBefore: row.not_before, until: row.until }))
      }
    })
  }
}

export function createTokenRegistry (database: Database, clock: () => Date): TokenRegistry {
  return {
    async revokeToken (jti, exp, event) {
      await database.write(async (transaction, now) => {
        const known = await transaction.selectFrom('revoked_tokens').select('jti').where('jti', '=', jti).executeTakeFirst()
        if (known) return
        const version = await record(transaction, now, event)
        await transaction.insertInto('revoked_tokens').values({ jti, exp, version }).execute()
        await forgetWhatIsOver(transaction, Math.floor(clock().getTime() / 1000) - GRACE_SECONDS)
      })
    },

    revokeTokensOf: async (bot, check, cutoff, event) => await database.write(async (transaction, now) => {
      const row = await transaction.selectFrom('bots').selectAll().where('name', '=', bot).executeTakeFirst()
      if (!row) return false
      check(botFromRow(row))
      await cutOff(transaction, bot, cutoff, await record(transaction, now, event))
      return true
    }),

    revokeRun: async ({ bot, run, until }, check, event) => await database.write(async (transaction, now) => {
      const row = await transaction.selectFrom('bots').selectAll().where('name', '=', bot).executeTakeFirst()
      if (!row) return false
      check(botFromRow(row))
      const before = await transaction.selectFrom('revoked_runs').select('until').where('bot', '=', bot).where('run', '=', run).executeTakeFirst()
      const later = { until: Math.max(until, before?.until ?? 0), version: await record(transaction, now, event) }
      await transaction.insertInto('revoked_runs').values({ bot, run, ...later })
        .onConflict(conflict => conflict.columns(['bot', 'run']).doUpdateSet(later)).execute()
      await forgetWhatIsOver(transaction, Math.floor(clock().getTime() / 1000) - GRACE_SECONDS)
      return true
    })
  }
}

async function forgetWhatIsOver (transaction: Transaction<Tables>, before: number): Promise<void> {
  await transaction.deleteFrom('revoked_tokens').where('exp', '<', before).execute()
  await transaction.deleteFrom('bot_cutoffs').where('until', '<', before).execute()
  await transaction.deleteFrom('revoked_runs').where('until', '<', before).execute()
}
