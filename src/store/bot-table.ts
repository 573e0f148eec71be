import type { Bot, StoredSecret } from '../bots/bot.ts'
import type { BotRegistry, SecretRegistry } from '../bots/bot-registry.ts'
import { announceChange, type Database } from './database.ts'
import type { BotRow, SecretRow } from './schema.ts'

export function createBotRegistry (database: Database): BotRegistry {
  return {
    find: async name => await database.read(async db => {
      const row = await db.selectFrom('bots').selectAll().where('name', '=', name).executeTakeFirst()
      return row ? botFromRow(row) : null
    }),

    list: async ({ limit, after }) => await database.read(async db => {
      const rows = await db.selectFrom('bots').selectAll().where('name', '>', after ?? '').orderBy('name').limit(limit).execute()
      return rows.map(botFromRow)
    }),

    create: async (bot, secret) => await database.write(async transaction => {
      const { numInsertedOrUpdatedRows } = await transaction.insertInto('bots').values(botToRow(bot))
        .onConflict(conflict => conflict.column('name').doNothing()).executeTakeFirstOrThrow()
      if (numInsertedOrUpdatedRows === 0n) return false
      if (secret) await transaction.insertInto('secrets').values(secretToRow(secret)).execute()
      await announceChange(transaction)
      return true
    }),

    update: async (name, change) => await database.write(async transaction => {
      const row = await transaction.selectFrom('bots').selectAll().where('name', '=', name).executeTakeFirst()
      if (!row) return null
      const bot = change(botFromRow(row))
      await transaction.updateTable('bots').set(botToRow(bot)).where('name', '=', name).execute()
      await announceChange(transaction)
      return bot
    }),

    disabled: async () => await database.read(async db => {
      const rows = await db.selectFrom('bots').select('name').where('enabled', '=', 0).execute()
      return new Set(rows.map(row => row.name))
    })
  }
}

export function createSecretRegistry (database: Database): SecretRegistry {
  return {
    list: async bot => await database.read(async db => {
      const rows = await db.selectFrom('secrets').selectAll().where('bot', '=', bot).orderBy('created_at', 'desc').orderBy('id').execute()
      return rows.map(secretFromRow)
    }),

    add: async secret => await database.write(async transaction => {
      const bot = await transaction.selectFrom('bots').select('name').where('name', '=', secret.bot).executeTakeFirst()
      if (!bot) return false
      await transaction.insertInto('secrets').values(secretToRow(secret)).execute()
      await announceChange(transaction)
      return true
    }),

    remove: async (bot, id) => await database.write(async transaction => {
      const { numDeletedRows } = await transaction.deleteFrom('secrets').where('bot', '=', bot).where('id', '=', id).executeTakeFirst()
      if (numDeletedRows > 0n) await announceChange(transaction)
      return numDeletedRows > 0n
    })
  }
}

function botFromRow (row: BotRow): Bot {
  return {
    name: row.name,
    displayName: row.display_name,
    email: row.email,
    roles: JSON.parse(row.roles) as string[],
    scopes: JSON.parse(row.scopes) as string[],
    audiences: JSON.parse(row.audiences) as string[],
    tokenTtlSeconds: row.token_ttl_seconds,
    enabled: row.enabled === 1,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at)
  }
}

function botToRow (bot: Bot): BotRow {
  return {
    name: bot.name,
    display_name: bot.displayName,
    email: bot.email,
    roles: JSON.stringify(bot.roles),
    scopes: JSON.stringify(bot.scopes),
    audiences: JSON.stringify(bot.audiences),
    token_ttl_seconds: bot.tokenTtlSeconds,
    enabled: bot.enabled ? 1 : 0,
    created_at: bot.createdAt.getTime(),
    updated_at: bot.updatedAt.getTime()
  }
}

function secretFromRow (row: SecretRow): StoredSecret {
  return {
    id: row.id,
    bot: row.bot,
    digest: row.digest,
    description: row.description,
    createdAt: new Date(row.created_at),
    expiresAt: row.expires_at === null ? null : new Date(row.expires_at),
    lastUsedAt: row.last_used_at === null ? null : new Date(row.last_used_at)
  }
}

function secretToRow (secret: StoredSecret): SecretRow {
  return {
    id: secret.id,
    bot: secret.bot,
    digest: secret.digest,
    description: secret.description,
    created_at: secret.createdAt.getTime(),
    expires_at: secret.expiresAt?.getTime() ?? null,
    last_used_at: secret.lastUsedAt?.getTime() ?? null
  }
}
