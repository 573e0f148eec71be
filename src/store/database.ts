/**
 * The database: connections, migrations, and the version that tells other processes of a change.
 * What is in it belongs to the interfaces of keys/ and bots/, which the files beside this one implement.
 */
import { Migrator, sql, type Kysely, type Transaction } from 'kysely'
import * as keysAndBots from './migrations/0001-keys-and-bots.ts'
import * as legacyKeysAndCounts from './migrations/0002-legacy-keys-and-counts.ts'
import type { Tables } from './schema.ts'
import { isSqliteError, openSqlite, sqliteFileExists } from './sqlite.ts'

const MIGRATIONS = {
  '0001-keys-and-bots': keysAndBots,
  '0002-legacy-keys-and-counts': legacyKeysAndCounts
}

/** The database cannot be reached, or cannot be written. Nothing was changed. */
export class StoreUnavailable extends Error {
  constructor (cause: Error) {
    super(`the database is unavailable: ${cause.message}`, { cause })
    this.name = 'StoreUnavailable'
  }
}

export interface Database {
  /** Runs queries that change nothing. */
  read: <T>(query: (db: Kysely<Tables>) => Promise<T>) => Promise<T>
  /** One transaction, all or nothing; when it returns, it is durable. */
  write: <T>(change: (transaction: Transaction<Tables>) => Promise<T>) => Promise<T>
  /** Counts up with every change that other processes need to know of. */
  version: () => Promise<number>
  /** Leaves no bytes behind of what was overwritten, where the database keeps them otherwise. */
  scrub: () => Promise<void>
  close: () => Promise<void>
}

/** @param url `sqlite:PATH` */
export function databaseExists (url: string): boolean {
  return sqliteFileExists(sqlitePath(url))
}

/**
 * Opens the database and brings its schema up to date. Throws {@link StoreUnavailable}.
 * @param observe is told how long each read and write took, and whether the database failed
 */
export async function openDatabase (url: string, observe: (work: 'read' | 'write', seconds: number, failed: boolean) => void = () => {}): Promise<Database> {
  return await unavailableIfDown(async () => {
    const { read, write, retryWhileBusy } = openSqlite(sqlitePath(url))
    const timed = async <T>(work: 'read' | 'write', run: () => Promise<T>): Promise<T> => {
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
    await retryWhileBusy(async () => { await migrate(write) })
    return {
      read: async query => await timed('read', async () => await query(read)),
      write: async change => await timed('write', async () => await write.transaction().execute(change)),
      version: async () => await unavailableIfDown(async () => (await read.selectFrom('changes').select('version').executeTakeFirst())?.version ?? 0),
      // The change itself is done: a checkpoint that a reader holds up comes with a later one.
      scrub: async () => { await sql`pragma wal_checkpoint(truncate)`.execute(write).catch(() => null) },
      async close () {
        await read.destroy()
        await write.destroy()
      }
    }
  })
}

async function migrate (db: Kysely<Tables>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) throw error instanceof Error ? error : new Error('the migration failed', { cause: error })
}

async function unavailableIfDown<T> (work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw isSqliteError(error) ? new StoreUnavailable(error) : error
  }
}

function sqlitePath (url: string): string {
  return url.replace(/^sqlite:/, '')
}
