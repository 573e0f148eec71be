import type { KeyStore, RingChange, RingEvents } from '../keys/key-store.ts'
import type { SigningKey } from '../keys/signing-key.ts'
import type { Database } from './database.ts'
import { record } from './record.ts'
import type { KeyRow, Tables } from './schema.ts'
import type { Kysely, Transaction } from 'kysely'

export function createKeyStore (database: Database): KeyStore {
  return {
    read: async () => await database.read(readRing),
    async update (change, eventsOf = () => []) {
      const { before, after } = await database.write(async (transaction, now) => await replaceRing(transaction, now, change, eventsOf))
      if (isAnyOverwritten(before, after)) await database.scrub()
      return after
    }
  }
}

async function replaceRing (transaction: Transaction<Tables>, now: Date, change: RingChange, eventsOf: RingEvents) {
  const before = await readRing(transaction)
  const after = change(before)
  const changed = after.filter(key => !before.includes(key))
  for (const key of changed) await save(transaction, key)
  if (changed.length > 0) await record(transaction, now, ...eventsOf(before, after))
  return { before, after }
}

/** True if a sealed private half was erased, or sealed anew. */
function isAnyOverwritten (before: readonly SigningKey[], after: readonly SigningKey[]): boolean {
  const sealed = new Set(after.map(key => key.sealedPrivateKey))
  return before.some(key => key.sealedPrivateKey !== null && !sealed.has(key.sealedPrivateKey))
}

async function readRing (db: Kysely<Tables>): Promise<readonly SigningKey[]> {
  const rows = await db.selectFrom('signing_keys').selectAll().orderBy('published_at').orderBy('signs_from').orderBy('kid').execute()
  return rows.map(fromRow)
}

async function save (transaction: Transaction<Tables>, key: SigningKey): Promise<void> {
  const row = toRow(key)
  await transaction.insertInto('signing_keys').values(row).onConflict(conflict => conflict.column('kid').doUpdateSet(row)).execute()
}

function fromRow (row: KeyRow): SigningKey {
  return {
    kid: row.kid,
    size: row.size,
    origin: row.origin,
    publicKey: { n: row.modulus, e: row.exponent },
    sealedPrivateKey: row.sealed_private_key,
    issuers: JSON.parse(row.issuers) as string[],
    publishedAt: new Date(row.published_at),
    signsFrom: new Date(row.signs_from),
    signsUntil: row.signs_until === null ? null : new Date(row.signs_until),
    verifiesUntil: new Date(row.verifies_until),
    revokedAt: row.revoked_at === null ? null : new Date(row.revoked_at),
    revokedReason: row.revoked_reason
  }
}

function toRow (key: SigningKey): KeyRow {
  return {
    kid: key.kid,
    size: key.size,
    origin: key.origin,
    modulus: key.publicKey.n,
    exponent: key.publicKey.e,
    sealed_private_key: key.sealedPrivateKey,
    issuers: JSON.stringify(key.issuers),
    published_at: key.publishedAt.getTime(),
    signs_from: key.signsFrom.getTime(),
    signs_until: key.signsUntil?.getTime() ?? null,
    verifies_until: key.verifiesUntil.getTime(),
    revoked_at: key.revokedAt?.getTime() ?? null,
    revoked_reason: key.revokedReason
  }
}
