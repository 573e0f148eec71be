/** For orchestrators: whether the process lives, and whether it can do its work. Names no bot and no secret. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'

/** @returns why the service cannot do its work now; empty if it can */
export type NotReady = () => string[]

export const healthRoutes: FastifyPluginAsyncTypebox<{ notReady: NotReady }> = async (app, { notReady }) => {
  app.get('/health/live', {
    schema: { tags: ['health'], summary: 'The process lives', response: { 200: Type.Object({ status: Type.Literal('live') }) } }
  }, async () => ({ status: 'live' as const }))

  const Readiness = Type.Object({ status: Type.Union([Type.Literal('ready'), Type.Literal('not ready')]), reasons: Type.Array(Type.String()) })
  app.get('/health/ready', {
    schema: { tags: ['health'], summary: 'The service can do its work', response: { 200: Readiness, 503: Readiness } }
  }, async (_request, reply) => {
    const reasons = notReady()
    return reasons.length === 0
      ? { status: 'ready' as const, reasons }
      : await reply.code(503).send({ status: 'not ready', reasons })
  })
}
