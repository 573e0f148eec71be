/** What a table may be called and how much may be said of it, for the API and for the form. */
import { Type } from '@fastify/type-provider-typebox'

export const TableName = Type.String({ pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$' })
export const Description = Type.String({ maxLength: 2000 })
