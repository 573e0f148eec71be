/** The metadata itself: tables, what they are, and whose they are. */
import type { DatabaseSync } from 'node:sqlite'
import type { Principal } from 'mintmark'

/**
 * A person. Issuer and subject say who it is; the name is for display alone. Names can be given to somebody else one day, and two
 * people of two pools can have the same.
 */
export interface Owner {
  issuer: string
  subject: string
  name: string
}

export interface Table {
  name: string
  description: string
  owner: Owner | null
  updatedAt: string
  updatedBy: string
}

/** Who changes something, and when. */
export interface Change {
  by: string
  at: Date
}

export interface Tables {
  list: () => Table[]
  find: (name: string) => Table | null
  /** Makes the table if it is not there yet, without an owner. */
  describe: (name: string, description: string, change: Change) => void
  /** `null`: nobody's. @returns whether there is such a table */
  setOwner: (name: string, owner: Owner | null, change: Change) => boolean
  /** @returns whether there was such a table */
  remove: (name: string) => boolean
}

/** People edit what they own, admins everything. Bots write by the API, where a scope decides. */
export function mayEdit (principal: Principal, { owner }: Table): boolean {
  return principal.admin || (owner !== null && owner.issuer === principal.issuer && owner.subject === principal.subject)
}

export function ownerOf ({ issuer, subject, name }: Principal): Owner {
  return { issuer, subject, name }
}

interface Row {
  name: string
  description: string
  owner_issuer: string | null
  owner_subject: string | null
  owner_name: string | null
  updated_at: string
  updated_by: string
}

export function openTables (database: DatabaseSync): Tables {
  database.exec(`
    CREATE TABLE IF NOT EXISTS tables (
      name TEXT PRIMARY KEY,
      description TEXT NOT NULL,
      owner_issuer TEXT,
      owner_subject TEXT,
      owner_name TEXT,
      updated_at TEXT NOT NULL,
      updated_by TEXT NOT NULL
    ) STRICT, WITHOUT ROWID`)
  const list = database.prepare('SELECT * FROM tables ORDER BY name')
  const find = database.prepare('SELECT * FROM tables WHERE name = ?')
  const describe = database.prepare(`
    INSERT INTO tables (name, description, updated_at, updated_by) VALUES (?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET description = excluded.description, updated_at = excluded.updated_at, updated_by = excluded.updated_by`)
  const setOwner = database.prepare('UPDATE tables SET owner_issuer = ?, owner_subject = ?, owner_name = ?, updated_at = ?, updated_by = ? WHERE name = ?')
  const remove = database.prepare('DELETE FROM tables WHERE name = ?')

  return {
    list: () => (list.all() as unknown as Row[]).map(tableOf),
    find (name) {
      const row = find.get(name) as Row | undefined
      return row ? tableOf(row) : null
    },
    describe (name, description, { by, at }) { describe.run(name, description, at.toISOString(), by) },
    setOwner (name, owner, { by, at }) {
      return setOwner.run(owner?.issuer ?? null, owner?.subject ?? null, owner?.name ?? null, at.toISOString(), by, name).changes > 0
    },
    remove: name => remove.run(name).changes > 0
  }
}

function tableOf ({ name, description, owner_issuer: issuer, owner_subject: subject, owner_name: ownerName, updated_at: updatedAt, updated_by: updatedBy }: Row): Table {
  const owner = issuer !== null && subject !== null ? { issuer, subject, name: ownerName ?? subject } : null
  return { name, description, owner, updatedAt, updatedBy }
}
