/** The tables as pages. Every route here knows who asks: the hook stands before all of them. */
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Description, TableName } from './shapes.ts'
import { requirePerson } from './sign-in.ts'
import { mayEdit, ownerOf, type Change, type Table, type Tables } from './tables.ts'
import type { UserPool } from './user-pool.ts'
import { PageError, show } from './views.ts'

export interface PagesOptions {
  userPool: UserPool
  tables: Tables
  clock: () => Date
}

const params = Type.Object({ name: TableName })
const form = Type.Object({ description: Description })

export const pages: FastifyPluginAsyncTypebox<PagesOptions> = async (app, { userPool, tables, clock }) => {
  app.addHook('onRequest', requirePerson(app, userPool))

  app.get('/', async (request, reply) => {
    const rows = tables.list().map(table => ({ ...table, mine: mayEdit(request.principal, table) }))
    return show(reply, 'tables', { ...frame(request, reply), tables: rows })
  })

  app.get('/tables/:name', { schema: { params } }, async (request, reply) => {
    const table = known(tables.find(request.params.name))
    return show(reply, 'table', { ...frame(request, reply), table, editable: mayEdit(request.principal, table) })
  })

  // Between what is asked of a table and what is done to it nothing else runs: SQLite answers at once, in this very turn.
  app.post('/tables/:name', { schema: { params, body: form } }, async (request, reply) => {
    const table = known(tables.find(request.params.name))
    if (!mayEdit(request.principal, table)) throw new PageError(403, `${table.name} belongs to ${table.owner?.name ?? 'nobody yet'}: only its owner and admins may edit it.`)
    // Browsers send line ends as CR LF.
    tables.describe(table.name, request.body.description.replaceAll('\r\n', '\n'), changeBy(request))
    return await reply.redirect(`/tables/${table.name}`, 303)
  })

  app.post('/tables/:name/owner', { schema: { params } }, async (request, reply) => {
    const table = known(tables.find(request.params.name))
    if (table.owner) throw new PageError(403, `${table.name} belongs to ${table.owner.name} already.`)
    tables.setOwner(table.name, ownerOf(request.principal), changeBy(request))
    return await reply.redirect(`/tables/${table.name}`, 303)
  })

  const changeBy = ({ principal }: FastifyRequest): Change => ({ by: principal.name, at: clock() })
}

function known (table: Table | null): Table {
  if (!table) throw new PageError(404, 'There is no such table.')
  return table
}

/** What stands on every page of somebody who is signed in. */
function frame (request: FastifyRequest, reply: FastifyReply): { person: { name: string, groups: string[], admin: boolean }, csrf: string } {
  const { name, groups, admin } = request.principal
  return { person: { name, groups, admin }, csrf: reply.generateCsrf() }
}
