import { createHash } from 'node:crypto'
import type { AssertionStore } from '../bots/assertion-log.ts'
import type { Database } from './database.ts'

export function createAssertionStore (database: Database): AssertionStore {
  return {
    use: async (bot, jti, until) => await database.append(async transaction => {
      const { numInsertedOrUpdatedRows: rows } = await transaction.insertInto('used_assertions').values({ bot, jti: digest(jti), until })
        .onConflict(conflict => conflict.columns(['bot', 'jti']).doNothing()).executeTakeFirstOrThrow()
      return rows === 1n
    }),

    // One sweeper at a time: two that lock the same rows in another order would wait for each other.
    forget: async second => { await database.write(async transaction => { await transaction.deleteFrom('used_assertions').where('until', '<', second).execute() }) }
  }
}

/** A client may write into it what it likes, also what a database does not take. */
function digest (jti: string): string {
  return createHash('sha256').update(jti).digest('base64url')
}
