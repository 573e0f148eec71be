/** `GET /admin/audit`: who did what, the newest first. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { AuditTrail } from '../../telemetry/audit.ts'
import { Moment, OrNull } from '../schemas.ts'
import { pageOf } from './bot-shapes.ts'

const EventSchema = Type.Object({
  id: Type.String(),
  at: Moment,
  actor: Type.Object({ kind: Type.Enum(['bot', 'user', 'cli', 'system']), name: Type.String() }),
  action: Type.String(),
  target: OrNull(Type.String()),
  outcome: Type.Enum(['done', 'refused']),
  detail: Type.Record(Type.String(), Type.Unknown()),
  requestId: OrNull(Type.String())
})

const Query = Type.Object({
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
  before: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}$', description: '`next` of the page before' })),
  actor: Type.Optional(Type.String({ description: 'Name of the actor' })),
  action: Type.Optional(Type.String({ examples: ['key.rotated'] }))
}, { additionalProperties: false })

export const adminAuditRoutes: FastifyPluginAsyncTypebox<{ audit: AuditTrail }> = async (app, { audit }) => {
  app.get('/audit', {
    config: { needs: 'audit:read', action: 'audit.read' },
    schema: { summary: 'The audit trail', querystring: Query, response: { 200: Type.Object({ events: Type.Array(EventSchema), next: OrNull(Type.String()) }) } }
  }, async ({ query: { limit, before, actor, action } }) => {
    const found = await audit.list({ limit: limit + 1, before: before === undefined ? undefined : Number(before), actor, action })
    const { page, next } = pageOf(found, limit, event => String(event.id))
    return { events: page.map(event => ({ ...event, id: String(event.id), at: event.at.toISOString() })), next }
  })
}
