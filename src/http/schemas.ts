/** Shapes that several routes share. */
import type {} from '@fastify/swagger'
import { Type } from '@fastify/type-provider-typebox'
import { BOT_NAME_PATTERN, SCOPE_PATTERN } from '../bots/bot.ts'
import { DURATION_PATTERN } from '../duration.ts'

export const OrNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])
export const Moment = Type.String({ format: 'date-time' })
export const MomentOrNull = OrNull(Moment)
export const Duration = Type.String({ pattern: DURATION_PATTERN, examples: ['90s', '15m', '24h', '30d'] })
export const BotName = Type.String({ pattern: BOT_NAME_PATTERN })
export const Scope = Type.String({ pattern: SCOPE_PATTERN })
export const Reason = Type.String({ minLength: 1, maxLength: 200 })

const Texts = Type.Array(Type.String())

export const PrincipalSchema = Type.Object({
  kind: Type.Union([Type.Literal('bot'), Type.Literal('user')]),
  name: Type.String(),
  email: OrNull(Type.String()),
  issuer: Type.String(),
  subject: Type.String(),
  clientId: OrNull(Type.String()),
  audience: Texts,
  roles: Texts,
  groups: Texts,
  scopes: Texts,
  admin: Type.Boolean(),
  legacy: Type.Boolean(),
  tokenUse: Type.Union([Type.Literal('access'), Type.Literal('id')]),
  tokenId: OrNull(Type.String()),
  pipeline: OrNull(Type.String({ description: 'That a bot\'s token was asked for' })),
  runId: OrNull(Type.String()),
  issuedAt: MomentOrNull,
  expiresAt: MomentOrNull,
  claims: Type.Record(Type.String(), Type.Unknown())
})
