/**
 * Sessions of browsers, for @fastify/session. They hold people's tokens, so the file is as secret as a password. The cookie's value
 * is not in it: only its digest is kept.
 */
import { createHash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { FastifySessionOptions } from '@fastify/session'
import type { Session } from 'fastify'

type SessionStore = NonNullable<FastifySessionOptions['store']>

export function openSessions (database: DatabaseSync, clock: () => Date): SessionStore {
  database.exec('CREATE TABLE IF NOT EXISTS sessions (digest TEXT PRIMARY KEY, content TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID')
  const find = database.prepare('SELECT content FROM sessions WHERE digest = ? AND expires_at > ?')
  const save = database.prepare('INSERT OR REPLACE INTO sessions (digest, content, expires_at) VALUES (?, ?, ?)')
  const remove = database.prepare('DELETE FROM sessions WHERE digest = ?')
  const removeExpired = database.prepare('DELETE FROM sessions WHERE expires_at <= ?')
  const now = (): number => clock().getTime()

  return {
    get (id, done) {
      answer(done, () => {
        const row = find.get(digestOf(id), now())
        return row ? JSON.parse(String(row.content)) as Session : null
      })
    },
    set (id, session, done) {
      answer(done, () => {
        removeExpired.run(now())
        save.run(digestOf(id), JSON.stringify(session), now() + (session.cookie.originalMaxAge ?? 0))
      })
    },
    destroy (id, done) {
      answer(done, () => { remove.run(digestOf(id)) })
    }
  }
}

const digestOf = (id: string): string => createHash('sha256').update(id).digest('base64url')

/** The store's interface is made of callbacks, SQLite's of values. `done` is called outside of the try: what it throws is not the database's fault. */
function answer<T> (done: (error: unknown, result?: T) => void, ask: () => T): void {
  let result: T
  try {
    result = ask()
  } catch (error) {
    done(error)
    return
  }
  done(null, result)
}
