import type { Kysely } from 'kysely'

export async function up (db: Kysely<unknown>): Promise<void> {
  await db.schema.createTable('legacy_keys')
    .addColumn('kid', 'text', column => column.primaryKey())
    .addColumn('size', 'integer', column => column.notNull())
    .addColumn('modulus', 'text', column => column.notNull())
    .addColumn('exponent', 'text', column => column.notNull())
    .addColumn('issuer', 'text', column => column.notNull())
    .addColumn('imported_at', 'bigint', column => column.notNull())
    .addColumn('verifies_until', 'bigint', column => column.notNull())
    .addColumn('revoked_at', 'bigint')
    .addColumn('revoked_reason', 'text')
    .execute()

  await db.schema.createTable('live_tokens')
    .addColumn('kid', 'text', column => column.notNull())
    .addColumn('bot', 'text', column => column.notNull())
    .addColumn('exp_minute', 'bigint', column => column.notNull())
    .addColumn('tokens', 'bigint', column => column.notNull())
    .addPrimaryKeyConstraint('live_tokens_key', ['kid', 'bot', 'exp_minute'])
    .execute()
  await db.schema.createIndex('live_tokens_by_exp').on('live_tokens').column('exp_minute').execute()

  await db.schema.createTable('key_uses')
    .addColumn('kid', 'text', column => column.primaryKey())
    .addColumn('issued', 'bigint', column => column.notNull())
    .addColumn('last_used_at', 'bigint', column => column.notNull())
    .execute()

  await db.schema.createTable('legacy_uses')
    .addColumn('kid', 'text', column => column.notNull())
    .addColumn('bot', 'text', column => column.notNull())
    .addColumn('tokens', 'bigint', column => column.notNull())
    .addColumn('last_seen_at', 'bigint', column => column.notNull())
    .addPrimaryKeyConstraint('legacy_uses_key', ['kid', 'bot'])
    .execute()
}
