import type { Transaction } from 'kysely'
import type { AuditDraft, AuditEvent, AuditTrail } from '../telemetry/audit.ts'
import type { Database } from './database.ts'
import type { AuditRow, Tables } from './schema.ts'

export function createAuditTrail (database: Database): AuditTrail {
  return {
    append: async events => { await database.write(async (transaction, now) => { await writeDown(transaction, now, events) }) },

    list: async ({ limit, before, actor, action }) => await database.read(async db => {
      let query = db.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(limit)
      if (before !== undefined) query = query.where('id', '<', before)
      if (actor !== undefined) query = query.where('actor_name', '=', actor)
      if (action !== undefined) query = query.where('action', '=', action)
      return (await query.execute()).map(eventFromRow)
    })
  }
}

/** Ids count up without gaps: the caller's transaction holds the write lock. */
export async function writeDown (transaction: Transaction<Tables>, now: Date, events: readonly AuditDraft[]): Promise<void> {
  if (events.length === 0) return
  const { last } = await transaction.selectFrom('audit').select(eb => eb.fn.coalesce(eb.fn.max('id'), eb.lit(0)).as('last')).executeTakeFirstOrThrow()
  await transaction.insertInto('audit').values(events.map((event, place) => ({
    id: last + place + 1,
    at: now.getTime(),
    actor_kind: event.actor.kind,
    actor_name: event.actor.name,
    action: event.action,
    target: event.target,
    outcome: event.outcome ?? 'done',
    detail: JSON.stringify(event.detail ?? {}),
    request_id: event.requestId ?? null
  }))).execute()
}

function eventFromRow (row: AuditRow): AuditEvent {
  return {
    id: row.id,
    at: new Date(row.at),
    actor: { kind: row.actor_kind, name: row.actor_name },
    action: row.action,
    target: row.target,
    outcome: row.outcome,
    detail: JSON.parse(row.detail) as Record<string, unknown>,
    requestId: row.request_id
  }
}
