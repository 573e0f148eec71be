/**
 * PostgreSQL, as Kysely sees it. Every wait has an end: for a connection, a lock, a statement, an answer;
 * together under the five seconds within which a write is refused.
 */
import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely'
import pg from 'pg'
import type { Tables } from './schema.ts'

const CONNECT_MS = 1_500
const LOCK_MS = 2_500
const STATEMENT_MS = 3_000
const ANSWER_MS = 3_200
const IDLE_MS = 5_000
const RECONNECT_MS = 500
const CHANNEL = 'mintmark_changes'

/** int8 and numeric: all of ours fit into a double, and the rest of the code counts in those. */
const NUMBERS: readonly number[] = [20, 1700]

/** Whoever waits for the lock of a change must not keep others from asking: each kind has connections of its own. */
const CONNECTIONS = 6
const WRITERS = 4

export interface PostgresConnections {
  /** For all that waits for nobody. */
  db: Kysely<Tables>
  /** For changes, which come one at a time over all processes. */
  writer: Kysely<Tables>
  /** Calls `onChange` whenever another process says that there is something new. @returns a function that ends it */
  listen: (onChange: () => void) => () => void
}

export function openPostgres (url: string): PostgresConnections {
  const settings: pg.PoolConfig = {
    connectionString: url,
    application_name: 'mintmark',
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5_000,
    query_timeout: ANSWER_MS
  }
  return { db: connect(settings, CONNECTIONS), writer: connect(settings, WRITERS), listen: onChange => listen(settings, onChange) }
}

function connect (settings: pg.PoolConfig, max: number): Kysely<Tables> {
  const pool = new pg.Pool({ ...settings, max, idleTimeoutMillis: 30_000, maxLifetimeSeconds: 300, types: numbersAsNumbers() })
  pool.on('error', () => { /* an idle connection has ended: the next query opens another */ })
  // One that somebody holds says so, too; without a listener it would end the process.
  pool.on('connect', client => { client.on('error', () => { /* whoever holds it hears of it by the query */ }) })
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: withoutHungConnections(pool) }) })
}

/** For migrations, which take the time that they take. */
export function openPatientPostgres (url: string): Kysely<Tables> {
  const pool = new pg.Pool({ connectionString: url, application_name: 'mintmark migration', connectionTimeoutMillis: CONNECT_MS, max: 1, types: numbersAsNumbers() })
  pool.on('error', () => { /* the migration itself hears of it */ })
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
}

/**
 * A connection that did not answer in time still may, to somebody else's question: it is not used again.
 * Nor are those that were open when it was asked: whatever has cut it off has cut them off, too, and each would be waited for.
 */
function withoutHungConnections (pool: pg.Pool): PostgresPool {
  const openedAt = new WeakMap<pg.PoolClient, number>()
  let suspectUntil = -Infinity
  pool.on('connect', client => { openedAt.set(client, performance.now()) })

  async function connectAfresh (): Promise<pg.PoolClient> {
    for (;;) {
      const client = await pool.connect()
      if ((openedAt.get(client) ?? 0) > suspectUntil) return client
      client.release(true)
    }
  }

  return {
    end: async () => { await pool.end() },
    async connect () {
      const client = await connectAfresh()
      const ask = client.query.bind(client) as unknown as (...query: unknown[]) => Promise<unknown>
      let hung = false
      const query = async (...given: unknown[]): Promise<unknown> => {
        if (hung) throw new Error('Query read timeout') // nor waited for a second time, by a rollback
        const askedAt = performance.now()
        try {
          return await ask(...given)
        } catch (error) {
          hung ||= (error as Error).message === 'Query read timeout'
          if (hung) suspectUntil = Math.max(suspectUntil, askedAt)
          throw error
        }
      }
      return { query, release: () => { client.release(hung) } } as unknown as PostgresPoolClient
    }
  }
}

/** Ends what waits on the server's side, too. By transaction, since a pooler between (PgBouncer) takes no such settings for a connection. */
export const TRANSACTION_LIMITS = `select set_config('lock_timeout', '${LOCK_MS}', true), set_config('statement_timeout', '${STATEMENT_MS}', true), set_config('idle_in_transaction_session_timeout', '${IDLE_MS}', true)`

/** Says to whoever listens, when the transaction commits, that there is something new. */
export const NOTIFY = `select pg_notify('${CHANNEL}', '')`

function numbersAsNumbers (): pg.TypeOverrides {
  const types = new pg.TypeOverrides()
  for (const oid of NUMBERS) types.setTypeParser(oid, Number)
  return types
}

/** A connection of its own, made anew whenever it ends; what was missed meanwhile the regular look finds. */
function listen (settings: pg.PoolConfig, onChange: () => void): () => void {
  let stopped = false
  let client: pg.Client | undefined

  const reconnect = async (): Promise<void> => {
    if (stopped) return
    const fresh = client = new pg.Client(settings)
    const again = (): void => { setTimeout(() => { void reconnect() }, RECONNECT_MS).unref() }
    fresh.on('error', () => { /* `end` follows */ })
    fresh.on('notification', onChange)
    try {
      await fresh.connect()
      await fresh.query(`listen ${CHANNEL}`)
      fresh.once('end', again)
      onChange()
    } catch {
      hangUp(fresh)
      again()
    }
  }
  void reconnect()
  return () => {
    stopped = true
    if (client) hangUp(client)
  }
}

/** Not waited for: a server that hangs never says goodbye. */
function hangUp (client: pg.Client): void {
  client.end().catch(() => { /* it is gone already, or never was there */ })
}
