import type { Kysely } from 'kysely'

export async function up (db: Kysely<unknown>): Promise<void> {
  await db.schema.createTable('used_assertions')
    .addColumn('bot', 'text', column => column.notNull())
    .addColumn('jti', 'text', column => column.notNull())
    .addColumn('until', 'bigint', column => column.notNull())
    .addPrimaryKeyConstraint('used_assertions_key', ['bot', 'jti'])
    .execute()
  await db.schema.createIndex('used_assertions_by_until').on('used_assertions').column('until').execute()

  await db.schema.createTable('revoked_runs')
    .addColumn('bot', 'text', column => column.notNull())
    .addColumn('run', 'text', column => column.notNull())
    .addColumn('until', 'bigint', column => column.notNull())
    .addColumn('version', 'bigint', column => column.notNull())
    .addPrimaryKeyConstraint('revoked_runs_key', ['bot', 'run'])
    .execute()
  await db.schema.createIndex('revoked_runs_by_version').on('revoked_runs').column('version').execute()
}
