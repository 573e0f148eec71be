import type { LegacyKey, LegacyKeyStore } from '../keys/legacy-key.ts'
import type { Database } from './database.ts'
import { record } from './record.ts'
import type { LegacyKeyRow } from './schema.ts'

export function createLegacyKeyStore (database: Database): LegacyKeyStore {
  return {
    read: async () => await database.read(async db => (await db.selectFrom('legacy_keys').selectAll().orderBy('imported_at').orderBy('kid').execute()).map(fromRow)),

    add: async (key, event) => await database.write(async (transaction, now) => {
      const inRing = await transaction.selectFrom('signing_keys').select('kid').where('kid', '=', key.kid).executeTakeFirst()
      const inLegacy = await transaction.selectFrom('legacy_keys').select('kid').where('kid', '=', key.kid).executeTakeFirst()
      if (inRing ?? inLegacy) return false
      await transaction.insertInto('legacy_keys').values(toRow(key)).execute()
      await record(transaction, now, event)
      return true
    }),

    revoke: async (kid, reason, at, event) => await database.write(async (transaction, now) => {
      const row = await transaction.selectFrom('legacy_keys').selectAll().where('kid', '=', kid).executeTakeFirst()
      if (!row) return null
      if (row.revoked_at !== null) return fromRow(row)
      const revoked = { ...row, revoked_at: at.getTime(), revoked_reason: reason }
      await transaction.updateTable('legacy_keys').set(revoked).where('kid', '=', kid).execute()
      await record(transaction, now, event)
      return fromRow(revoked)
    })
  }
}

function fromRow (row: LegacyKeyRow): LegacyKey {
  return {
    kid: row.kid,
    size: row.size,
    publicKey: { n: row.modulus, e: row.exponent },
    issuer: row.issuer,
    importedAt: new Date(row.imported_at),
    verifiesUntil: new Date(row.verifies_until),
    revokedAt: row.revoked_at === null ? null : new Date(row.revoked_at),
    revokedReason: row.revoked_reason
  }
}

function toRow (key: LegacyKey): LegacyKeyRow {
  return {
    kid: key.kid,
    size: key.size,
    modulus: key.publicKey.n,
    exponent: key.publicKey.e,
    issuer: key.issuer,
    imported_at: key.importedAt.getTime(),
    verifies_until: key.verifiesUntil.getTime(),
    revoked_at: key.revokedAt?.getTime() ?? null,
    revoked_reason: key.revokedReason
  }
}
