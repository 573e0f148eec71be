import type { Kysely, Transaction } from 'kysely'
import type { Bot, ClientKey, StoredSecret, TrustRule } from '../bots/bot.ts'
import type { BotReader, BotWriter, CheckBot, SecretRegistry, SecretUses } from '../bots/bot-registry.ts'
import type { Database } from './database.ts'
import { record } from './record.ts'
import { cutOff } from './cutoff.ts'
import type { BotRow, SecretRow, Tables } from './schema.ts'

export function createBotReader (database: Database): BotReader {
  return {
    find: async name => await database.read(async db => await findBot(db, name)),

    findByCognitoClient: async clientId => await database.read(async db => {
      const row = await db.selectFrom('cognito_clients').innerJoin('bots', 'bots.name', 'cognito_clients.bot').selectAll('bots')
        .where('client_id', '=', clientId).executeTakeFirst()
      return row ? botFromRow(row) : null
    }),

    list: async ({ limit, after }) => await database.read(async db => {
      const rows = await db.selectFrom('bots').selectAll().where('name', '>', after ?? '').orderBy('name').limit(limit).execute()
      return rows.map(botFromRow)
    })
  }
}

export function createBotWriter (database: Database): BotWriter {
  return {
    create: async (bot, secret, event) => await database.write(async (transaction, now) => {
      if (await findBot(transaction, bot.name)) return 'name taken'
      if (await isAnyClientTaken(transaction, bot)) return 'client id taken'
      await transaction.insertInto('bots').values(botToRow(bot)).execute()
      await saveClients(transaction, bot)
      if (secret) await transaction.insertInto('secrets').values(secretToRow(secret)).execute()
      await record(transaction, now, event)
      return 'created'
    }),

    update: async (name, change, event) => await database.write(async (transaction, now) => {
      const before = await findBot(transaction, name)
      if (!before) return { failed: 'no such bot' }
      const bot = change(before)
      if (await isAnyClientTaken(transaction, bot)) return { failed: 'client id taken' }
      await transaction.updateTable('bots').set(botToRow(bot)).where('name', '=', name).execute()
      await saveClients(transaction, bot)
      await record(transaction, now, event)
      return { done: bot }
    }),

    remove: async (name, check, cutoff, event) => await database.write(async (transaction, now) => {
      const bot = await findBot(transaction, name)
      if (!bot) return false
      check(bot)
      await transaction.deleteFrom('bots').where('name', '=', name).execute()
      await cutOff(transaction, name, cutoff, await record(transaction, now, event))
      return true
    })
  }
}

const IDS_AT_ONCE = 500

export function createSecretRegistry (database: Database): SecretRegistry & SecretUses {
  return {
    list: async bot => await database.read(async db => {
      const rows = await db.selectFrom('secrets').selectAll().where('bot', '=', bot).orderBy('created_at', 'desc').orderBy('id').execute()
      return rows.map(secretFromRow)
    }),

    listExpiring: async (from, until) => await database.read(async db => {
      const rows = await db.selectFrom('secrets').selectAll().where('expires_at', '>', from.getTime()).where('expires_at', '<=', until.getTime()).orderBy('expires_at').orderBy('id').execute()
      return rows.map(secretFromRow)
    }),

    add: async (secret, check, event, othersExpireAt) => await database.write(async (transaction, now) => {
      const bot = await findBot(transaction, secret.bot)
      if (!bot) return false
      check(bot)
      if (othersExpireAt) await expireSooner(transaction, secret.bot, othersExpireAt.getTime())
      await transaction.insertInto('secrets').values(secretToRow(secret)).execute()
      await record(transaction, now, event)
      return true
    }),

    update: async (bot, id, change, check, event) => await database.write(async (transaction, now) => {
      const before = await findSecret(transaction, bot, id, check)
      if (!before) return null
      const secret = change(before)
      await transaction.updateTable('secrets').set(secretToRow(secret)).where('id', '=', id).execute()
      await record(transaction, now, event)
      return secret
    }),

    remove: async (bot, id, check, event) => await database.write(async (transaction, now) => {
      if (!await findSecret(transaction, bot, id, check)) return false
      await transaction.deleteFrom('secrets').where('id', '=', id).execute()
      await record(transaction, now, event)
      return true
    }),

    async record (uses) {
      await database.append(async transaction => {
        for (const [at, ids] of Map.groupBy([...uses.keys()].sort(), id => uses.get(id)?.getTime() ?? 0)) {
          for (let place = 0; place < ids.length; place += IDS_AT_ONCE) {
            await transaction.updateTable('secrets').set({ last_used_at: at }).where('id', 'in', ids.slice(place, place + IDS_AT_ONCE)).execute()
          }
        }
      })
    }
  }
}

async function findBot (db: Kysely<Tables>, name: string): Promise<Bot | null> {
  const row = await db.selectFrom('bots').selectAll().where('name', '=', name).executeTakeFirst()
  return row ? botFromRow(row) : null
}

async function findSecret (transaction: Transaction<Tables>, bot: string, id: string, check: CheckBot): Promise<StoredSecret | null> {
  const owner = await findBot(transaction, bot)
  if (owner) check(owner)
  const row = await transaction.selectFrom('secrets').selectAll().where('bot', '=', bot).where('id', '=', id).executeTakeFirst()
  return row ? secretFromRow(row) : null
}

async function expireSooner (transaction: Transaction<Tables>, bot: string, at: number): Promise<void> {
  await transaction.updateTable('secrets').set({ expires_at: at }).where('bot', '=', bot)
    .where(eb => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', at)])).execute()
}

/** A machine client stands for one bot only. */
async function isAnyClientTaken (transaction: Transaction<Tables>, { name, cognitoClientIds }: Bot): Promise<boolean> {
  if (cognitoClientIds.length === 0) return false
  const other = await transaction.selectFrom('cognito_clients').select('bot').where('client_id', 'in', [...cognitoClientIds]).where('bot', '!=', name).executeTakeFirst()
  return other !== undefined
}

export async function saveClients (transaction: Transaction<Tables>, { name, cognitoClientIds }: Bot): Promise<void> {
  await transaction.deleteFrom('cognito_clients').where('bot', '=', name).execute()
  if (cognitoClientIds.length === 0) return
  await transaction.insertInto('cognito_clients').values(cognitoClientIds.map(clientId => ({ client_id: clientId, bot: name }))).execute()
}

export function botFromRow (row: BotRow): Bot {
  return {
    name: row.name,
    displayName: row.display_name,
    email: row.email,
    roles: JSON.parse(row.roles) as string[],
    scopes: JSON.parse(row.scopes) as string[],
    audiences: JSON.parse(row.audiences) as string[],
    tokenTtlSeconds: row.token_ttl_seconds,
    cognitoClientIds: JSON.parse(row.cognito_client_ids) as string[],
    pipelines: JSON.parse(row.pipelines) as string[],
    jwks: JSON.parse(row.jwks) as ClientKey[],
    trust: JSON.parse(row.trust) as TrustRule[],
    enabled: row.enabled === 1,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at)
  }
}

export function botToRow (bot: Bot): BotRow {
  return {
    name: bot.name,
    display_name: bot.displayName,
    email: bot.email,
    roles: JSON.stringify(bot.roles),
    scopes: JSON.stringify(bot.scopes),
    audiences: JSON.stringify(bot.audiences),
    token_ttl_seconds: bot.tokenTtlSeconds,
    cognito_client_ids: JSON.stringify(bot.cognitoClientIds),
    pipelines: JSON.stringify(bot.pipelines),
    jwks: JSON.stringify(bot.jwks),
    trust: JSON.stringify(bot.trust),
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
