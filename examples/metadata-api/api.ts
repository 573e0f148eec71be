/** What programs ask for, and people with a token of theirs: read for everybody who is known, write for bots, the rest for admins. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Description, TableName } from './shapes.ts'
import type { Change, Tables } from './tables.ts'

export interface ApiOptions {
  tables: Tables
  clock: () => Date
}

const params = Type.Object({ name: TableName })
const Owner = Type.Object({ issuer: Type.String({ minLength: 1 }), subject: Type.String({ minLength: 1 }), name: Type.String({ minLength: 1 }) }, { additionalProperties: false })

export const api: FastifyPluginAsyncTypebox<ApiOptions> = async (app, { tables, clock }) => {
  const anybody = { onRequest: app.authenticate }
  const writers = { onRequest: app.authorize({ kinds: ['bot'], scopes: ['metadata:write'] }) }
  const admins = { onRequest: app.authorize({ admin: true }) }
  const changeBy = ({ principal }: { principal: { name: string } }): Change => ({ by: principal.name, at: clock() })

  app.get('/users/loggedInUser', anybody, async request => request.principal)

  app.get('/tables', anybody, async () => ({ data: tables.list() }))

  app.get('/tables/:name', { ...anybody, schema: { params } }, async (request, reply) =>
    tables.find(request.params.name) ?? noSuchTable(reply))

  app.put('/tables/:name', { ...writers, schema: { params, body: Type.Object({ description: Description }, { additionalProperties: false }) } }, async request => {
    tables.describe(request.params.name, request.body.description, changeBy(request))
    return tables.find(request.params.name)
  })

  app.put('/tables/:name/owner', { ...admins, schema: { params, body: Type.Union([Owner, Type.Null()]) } }, async (request, reply) =>
    tables.setOwner(request.params.name, request.body, changeBy(request)) ? tables.find(request.params.name) : noSuchTable(reply))

  app.delete('/tables/:name', { ...admins, schema: { params } }, async (request, reply) =>
    tables.remove(request.params.name) ? reply.code(204).send() : noSuchTable(reply))

  // In the form of mintmark's own answers (RFC 9457), so that a client reads one form.
  app.setNotFoundHandler((_request, reply) => { void problem(reply, 404, 'There is nothing here') })
  app.setErrorHandler<Error & { statusCode?: number }>((error, request, reply) => {
    const status = error.statusCode ?? 500
    if (status >= 500) request.log.error(error)
    return problem(reply, status, status >= 500 ? 'Something went wrong here; the log says what' : error.message)
  })
}

const noSuchTable = (reply: FastifyReply): FastifyReply => problem(reply, 404, 'There is no such table')

function problem (reply: FastifyReply, status: number, detail: string): FastifyReply {
  return reply.code(status).type('application/problem+json').serializer(JSON.stringify).send({ type: 'about:blank', status, detail })
}
