/**
 * The database, SQLite or PostgreSQL: connections, migrations, and the version that tells other processes of a change.
 * What is in it belongs to the interfaces of keys/, bots/ and tokens/, which the files beside this one implement.
 */
import { Migrator, sql, type Kysely, type Migration, type Transaction } from 'kysely'
import * as keysAndBots from './migrations/0001-keys-and-bots.ts'
import * as legacyKeysAndCounts from './migrations/0002-legacy-keys-and-counts.ts'
import * as assertionsAndRuns from './migrations/0003-assertions-and-runs.ts'
import { isPostgresAway } from './postgres-away.ts'
import type { Tables } from './schema.ts'
import { copySqlite, isSqliteError, openSqlite, sqliteFileExists } from './sqlite.ts'

const FIRST_MIGRATION = '0001-keys-and-bots'
const MIGRATIONS: Record<string, Migration> = {
  [FIRST_MIGRATION]: keysAndBots,
  '0002-legacy-keys-and-counts': legacyKeysAndCounts,
  '0003-assertions-and-runs': assertionsAndRuns
}

/** The database cannot be reached, or cannot be written. Nothing was changed. */
export class StoreUnavailable extends Error {
  constructor (cause: Error) {
    super(`the database is unavailable: ${cause.message}`, { cause })
    this.name = 'StoreUnavailable'
  }
}

export const isUnavailable = (error: unknown): boolean => error instanceof StoreUnavailable

export interface Look {
  /** Counts up with every change that other processes need to know of. */
  readonly version: number
  /** How far the database's clock is ahead of this machine's, in milliseconds; 0 where they are the same. */
  readonly clockOffsetMs: number
  /** How far off that may be. */
  readonly uncertaintyMs: number
}

export interface Database {
  /** Runs queries that change nothing. */
  read: <T>(query: (db: Kysely<Tables>) => Promise<T>) => Promise<T>
  /**
   * One transaction, one at a time over all processes, all or nothing; when it returns, it is durable.
   * `now` is the time of the change, by the database's clock.
   */
  write: <T>(change: (transaction: Transaction<Tables>, now: Date) => Promise<T>) => Promise<T>
  /** One transaction that need not wait for others: for what nobody holds in memory. */
  append: <T>(change: (transaction: Transaction<Tables>) => Promise<T>) => Promise<T>
  /** @param clock this machine's, to compare the database's with */
  look: (clock: () => Date) => Promise<Look>
  /** Leaves no bytes behind of what was overwritten, where the database keeps them otherwise. */
  scrub: () => Promise<void>
  /** Calls `onChange` as soon as another process has changed something, where the database can say so. @returns a function that ends it */
  listen: (onChange: () => void) => () => void
  close: () => Promise<void>
}

export interface DatabaseOptions {
  /** Is told how long each read and write took, and whether the database failed. */
  observe?: (work: 'read' | 'write', seconds: number, failed: boolean) => void
  /** The database's clock, as far as it is known. */
  clock?: () => Date
}

type Using = Required<DatabaseOptions>

/** @param url `sqlite:PATH`, or `postgres://…`, of which it is not known before it is asked */
export function databaseExists (url: string): boolean {
  return isPostgres(url) || sqliteFileExists(sqlitePath(url))
}

/**
 * Copies the database into a new file while the service goes on.
 * @returns `null` if PostgreSQL keeps it, whose own tools do that. Throws {@link StoreUnavailable}, and `EEXIST` if there is the file.
 */
export async function backUpDatabase (url: string, to: string): Promise<'done' | null> {
  if (isPostgres(url)) return null
  await unavailableIfDown(async () => { await copySqlite(sqlitePath(url), to) })
  return 'done'
}

/**
 * Opens the database and brings its schema up to date. Throws {@link StoreUnavailable}.
 */
export async function openDatabase (url: string, { observe = () => {}, clock = () => new Date() }: DatabaseOptions = {}): Promise<Database> {
  return await unavailableIfDown(async () => isPostgres(url) ? await overPostgres(url, { observe, clock }) : await overSqlite(url, { observe, clock }))
}

async function overSqlite (url: string, { observe, clock }: Using): Promise<Database> {
  const { read, write, retryWhileBusy } = openSqlite(sqlitePath(url))
  await retryWhileBusy(async () => { await migrate(write) })
  const inTransaction: Database['write'] = async change => await timed('write', observe, async () => await write.transaction().execute(async transaction => await change(transaction, clock())))
  return {
    read: async query => await timed('read', observe, async () => await query(read)),
    write: inTransaction,
    append: inTransaction,
    look: async () => await timed('read', observe, async () => ({ version: await readVersion(read), clockOffsetMs: 0, uncertaintyMs: 0 })),
    // The change itself is done: a checkpoint that a reader holds up comes with a later one.
    scrub: async () => { await sql`pragma wal_checkpoint(truncate)`.execute(write).catch(() => null) },
    listen: () => () => { /* the regular look is quick enough */ },
    async close () {
      await read.destroy()
      await write.destroy()
    }
  }
}

async function overPostgres (url: string, { observe, clock }: Using): Promise<Database> {
  const { NOTIFY, openPatientPostgres, openPostgres, TRANSACTION_LIMITS } = await import('./postgres.ts') // brings the driver with it
  const patient = openPatientPostgres(url)
  try {
    await migrate(patient)
  } finally {
    await patient.destroy()
  }
  const { db, writer, listen } = openPostgres(url)
  return {
    read: async query => await timed('read', observe, async () => await query(db)),
    write: async change => await timed('write', observe, async () => await writer.transaction().execute(async transaction => {
      await sql.raw(TRANSACTION_LIMITS).execute(transaction)
      await transaction.selectFrom('changes').select('version').forUpdate().execute()
      const result = await change(transaction, clock())
      await sql.raw(NOTIFY).execute(transaction)
      return result
    })),
    append: async change => await timed('write', observe, async () => await db.transaction().execute(async transaction => {
      await sql.raw(TRANSACTION_LIMITS).execute(transaction)
      return await change(transaction)
    })),
    look: async machineClock => await timed('read', observe, async () => await lookAtPostgres(db, machineClock)),
    scrub: async () => { /* vacuuming is the operator's business */ },
    listen,
    async close () {
      await db.destroy()
      await writer.destroy()
    }
  }
}

async function lookAtPostgres (db: Kysely<Tables>, clock: () => Date): Promise<Look> {
  const askedAt = clock().getTime()
  const row = await db.selectFrom('changes').select(['version', sql<number>`extract(epoch from clock_timestamp()) * 1000`.as('now')]).executeTakeFirstOrThrow()
  const answeredAt = clock().getTime()
  return { version: row.version, clockOffsetMs: row.now - (askedAt + answeredAt) / 2, uncertaintyMs: (answeredAt - askedAt) / 2 }
}

async function readVersion (db: Kysely<Tables>): Promise<number> {
  return (await db.selectFrom('changes').select('version').executeTakeFirst())?.version ?? 0
}

/** A newer version's schema is left as it is: it only ever adds what an older one can do without. */
async function migrate (db: Kysely<Tables>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } })
  const done = await migrationsIn(db)
  const foreign = done.filter(name => !Object.hasOwn(MIGRATIONS, name))
  if (foreign.length > 0 && !done.includes(FIRST_MIGRATION)) throw new StoreUnavailable(new Error(`its tables belong to another application, whose migrations are ${foreign.join(', ')}: give mintmark a database of its own`))
  if (foreign.length > 0) return
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) throw error instanceof Error ? error : new Error('the migration failed', { cause: error })
}

async function migrationsIn (db: Kysely<Tables>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some(table => table.name === 'kysely_migration')) return []
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db)
  return rows.map(({ name }) => name)
}

async function timed<T> (work: 'read' | 'write', observe: Using['observe'], run: () => Promise<T>): Promise<T> {
  const startedAt = performance.now()
  const done = (failed: boolean): void => { observe(work, (performance.now() - startedAt) / 1000, failed) }
  try {
    const result = await unavailableIfDown(run)
    done(false)
    return result
  } catch (error) {
    done(error instanceof StoreUnavailable)
    throw error
  }
}

async function unavailableIfDown<T> (work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw isSqliteError(error) || isPostgresAway(error) ? new StoreUnavailable(error) : error
  }
}

function isPostgres (url: string): boolean {
  return /^postgres(?:ql)?:/.test(url)
}

function sqlitePath (url: string): string {
  return url.replace(/^sqlite:/, '')
}
