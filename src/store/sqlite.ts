/**
 * SQLite through `node:sqlite`, as Kysely sees it.
 *
 * `node:sqlite` is synchronous: a wait for a lock inside SQLite would stop the event loop. So SQLite never waits here
 * (busy timeout 0): a transaction that finds the file locked tries again later, and gives up after five seconds.
 * Reads have a connection of their own, so that they never queue behind a writer that waits.
 *
 * WAL with `synchronous = FULL`: a commit that returned has been flushed, and survives a crash of process and machine.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { CompiledQuery, Kysely, SqliteAdapter, SqliteDialect, SqliteDriver, type DatabaseConnection, type Driver, type SqliteDatabase } from 'kysely'
import type { Tables } from './schema.ts'

const GIVE_UP_AFTER_MS = 5_000
const RETRY_EVERY_MS = 10

export interface SqliteConnections {
  read: Kysely<Tables>
  write: Kysely<Tables>
}

export function sqliteFileExists (file: string): boolean {
  return existsSync(file)
}

/** Opens `file`, and makes it and its folder if need be. */
export function openSqlite (file: string): SqliteConnections {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  return { write: connect(file), read: connect(file) }
}

function connect (file: string): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new NodeSqliteDialect({ database: async () => await openPatiently(file) }) })
}

async function openPatiently (file: string): Promise<SqliteDatabase> {
  const database = new DatabaseSync(file, { timeout: 0, enableForeignKeyConstraints: true })
  await retryWhileBusy(async () => { database.exec('pragma journal_mode = wal; pragma synchronous = full') })
  return asBetterSqlite(database)
}

/** Kysely's SQLite driver speaks better-sqlite3's dialect; this is all of it that it uses. */
function asBetterSqlite (database: DatabaseSync): SqliteDatabase {
  return {
    close: () => { database.close() },
    prepare (sql) {
      const statement = database.prepare(sql)
      return {
        reader: statement.columns().length > 0,
        all: parameters => statement.all(...parameters as SQLInputValue[]),
        run: parameters => statement.run(...parameters as SQLInputValue[]),
        iterate: parameters => statement.iterate(...parameters as SQLInputValue[])
      }
    }
  }
}

class NodeSqliteDialect extends SqliteDialect {
  readonly #config: ConstructorParameters<typeof SqliteDialect>[0]

  constructor (config: ConstructorParameters<typeof SqliteDialect>[0]) {
    super(config)
    this.#config = config
  }

  override createDriver (): Driver {
    return new ImmediateSqliteDriver(this.#config)
  }

  /** DDL is transactional in SQLite, so that the migrator's own transaction is its lock between processes. */
  override createAdapter (): SqliteAdapter {
    return new class extends SqliteAdapter {
      override get supportsTransactionalDdl (): boolean { return true }
    }()
  }
}

/** Takes the write lock when a transaction begins, and not at its first write: a later upgrade could only fail. */
class ImmediateSqliteDriver extends SqliteDriver {
  override async beginTransaction (connection: DatabaseConnection): Promise<void> {
    await retryWhileBusy(async () => { await connection.executeQuery(CompiledQuery.raw('begin immediate')) })
  }
}

async function retryWhileBusy (attempt: () => Promise<void>): Promise<void> {
  const giveUpAt = performance.now() + GIVE_UP_AFTER_MS
  for (;;) {
    try {
      await attempt()
      return
    } catch (error) {
      if (!isBusy(error) || performance.now() > giveUpAt) throw error
      await sleep(RETRY_EVERY_MS)
    }
  }
}

/** SQLITE_BUSY and SQLITE_LOCKED, with their extended codes. */
function isBusy (error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode
  return code !== undefined && [5, 6].includes(code & 0xff)
}

/** True for errors of SQLite itself: locked, read-only, full, corrupt, not a database. */
export function isSqliteError (error: unknown): error is Error {
  return error instanceof Error && (error as { code?: string }).code === 'ERR_SQLITE_ERROR'
}
