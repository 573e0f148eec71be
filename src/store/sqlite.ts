/**
 * SQLite through `node:sqlite`, as Kysely sees it.
 *
 * `node:sqlite` is synchronous: a wait for a lock inside SQLite would stop the event loop. So SQLite never waits here
 * (busy timeout 0): a transaction that finds the file locked tries again later, and gives up before five seconds are over.
 * Reads have a connection of their own, so that they never queue behind a writer that waits.
 *
 * WAL with `synchronous = FULL`: a commit that returned has been flushed, and survives a crash of process and machine.
 * `secure_delete`: a private half that was erased leaves no bytes behind in the file.
 */
import { closeSync, existsSync, linkSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { backup, DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { CompiledQuery, Kysely, SqliteAdapter, SqliteDialect, SqliteDriver, type DatabaseConnection, type Driver, type SqliteDatabase, type SqliteDialectConfig } from 'kysely'
import type { Tables } from './schema.ts'

const GIVE_UP_AFTER_MS = 4_500
const RETRY_EVERY_MS = 10
/** In one go: a copy that pauses begins anew whenever somebody writes meanwhile. */
const ALL_PAGES = 2 ** 31 - 1

export interface SqliteConnections {
  read: Kysely<Tables>
  write: Kysely<Tables>
  /** Runs `attempt` until it does not find the file locked. Throws SQLite's error when it has been locked for too long. */
  retryWhileBusy: <T>(attempt: () => Promise<T>) => Promise<T>
}

export function sqliteFileExists (file: string): boolean {
  return existsSync(file)
}

/** Opens `file`, and makes it and its folder if need be. */
export function openSqlite (file: string): SqliteConnections {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600))
  const writer = createPatience()
  return { write: connect(file, writer), read: connect(file, createPatience()), retryWhileBusy: writer }
}

/**
 * Copies the database `from`, as it was at one moment, into the new file `to`, while others go on reading and writing it.
 * The copy is looked through before it gets its name, and is one file: it needs no write-ahead log beside it.
 * Throws `EEXIST` if there is a file `to`, and SQLite's error if the copy is not sound.
 */
export async function copySqlite (from: string, to: string): Promise<void> {
  const unfinished = `${to}.unfinished-${process.pid}`
  closeSync(openSync(unfinished, 'wx', 0o600))
  try {
    const source = new DatabaseSync(from, { readOnly: true })
    try {
      await backup(source, unfinished, { rate: ALL_PAGES })
    } finally {
      source.close()
    }
    const copy = new DatabaseSync(unfinished)
    try {
      copy.exec('pragma journal_mode = delete')
      const { integrity_check: found } = copy.prepare('pragma integrity_check').get() ?? {}
      if (found !== 'ok') throw new Error(`the copy is not sound: ${String(found)}`)
    } finally {
      copy.close()
    }
    linkSync(unfinished, to)
  } finally {
    rmSync(unfinished, { force: true })
  }
}

function connect (file: string, retryWhileBusy: Patience): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new NodeSqliteDialect({ database: async () => await openPatiently(file, retryWhileBusy) }, retryWhileBusy) })
}

async function openPatiently (file: string, retryWhileBusy: Patience): Promise<SqliteDatabase> {
  const database = new DatabaseSync(file, { timeout: 0, enableForeignKeyConstraints: true })
  await retryWhileBusy(async () => { database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma secure_delete = on') })
  return asBetterSqlite(database)
}

/** Queries are few, and asked again and again. */
const MOST_PREPARED = 500

/** Kysely's SQLite driver speaks better-sqlite3's dialect; this is all of it that it uses. */
function asBetterSqlite (database: DatabaseSync): SqliteDatabase {
  const prepared = new Map<string, StatementSync>()

  function prepare (sql: string): StatementSync {
    const known = prepared.get(sql)
    if (known) return known
    const statement = database.prepare(sql)
    if (prepared.size >= MOST_PREPARED) prepared.clear()
    prepared.set(sql, statement)
    return statement
  }

  return {
    close: () => { database.close() },
    prepare (sql) {
      const statement = prepare(sql)
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
  readonly #config: SqliteDialectConfig
  readonly #retryWhileBusy: Patience

  constructor (config: SqliteDialectConfig, retryWhileBusy: Patience) {
    super(config)
    this.#config = config
    this.#retryWhileBusy = retryWhileBusy
  }

  override createDriver (): Driver {
    return new ImmediateSqliteDriver(this.#config, this.#retryWhileBusy)
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
  readonly #retryWhileBusy: Patience

  constructor (config: SqliteDialectConfig, retryWhileBusy: Patience) {
    super(config)
    this.#retryWhileBusy = retryWhileBusy
  }

  override async beginTransaction (connection: DatabaseConnection): Promise<void> {
    await this.#retryWhileBusy(async () => { await connection.executeQuery(CompiledQuery.raw('begin immediate')) })
  }
}

type Patience = SqliteConnections['retryWhileBusy']

/**
 * Counts from when the lock was first met: writes queue for their connection, and each that waited its own five seconds
 * would let the last one wait for minutes.
 */
function createPatience (): Patience {
  let busySince: number | undefined
  return async attempt => {
    for (;;) {
      try {
        const result = await attempt()
        busySince = undefined
        return result
      } catch (error) {
        if (!isBusy(error)) throw error
        busySince ??= performance.now()
        if (performance.now() > busySince + GIVE_UP_AFTER_MS) throw error
        await sleep(RETRY_EVERY_MS)
      }
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
