import type { FastifyPluginAsync } from 'fastify'
import type { Metrics } from '../telemetry/metrics.ts'

/** `GET /metrics`, for Prometheus. */
export const metricsRoutes: FastifyPluginAsync<{ metrics: Metrics }> = async (app, { metrics }) => {
  app.get('/metrics', {
    schema: { tags: ['health'], summary: 'Metrics (Prometheus text)', produces: ['text/plain'], response: { 200: { type: 'string' } } }
  }, async (_request, reply) => await reply.type(metrics.contentType).send(await metrics.render()))
}
