import type { TrustingBots } from '../bots/trust-book.ts'
import { botFromRow } from './bot-table.ts'
import type { Database } from './database.ts'

export function createTrustingBots (database: Database): TrustingBots {
  return {
    list: async () => await database.read(async db => {
      const rows = await db.selectFrom('bots').selectAll().where('trust', '<>', '[]').orderBy('name').execute()
      return rows.map(botFromRow)
    })
  }
}
