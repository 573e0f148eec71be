import type { Transaction } from 'kysely'
import type { AuditDraft } from '../telemetry/audit.ts'
import { writeDown } from './audit-table.ts'
import type { Tables } from './schema.ts'

/**
 * Says to other processes, in the transaction of the change itself, that there is something new to read, and writes the change down.
 * @param now when it happens, by the database's clock
 * @returns the version that the change has
 */
export async function record (transaction: Transaction<Tables>, now: Date, ...events: AuditDraft[]): Promise<number> {
  const { version } = await transaction.updateTable('changes').set(eb => ({ version: eb('version', '+', 1) })).returning('version').executeTakeFirstOrThrow()
  await writeDown(transaction, now, events)
  return version
}
