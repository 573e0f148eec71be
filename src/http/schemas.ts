/** Shapes that several routes share. */
import type {} from '@fastify/swagger'
import { Type } from 'typebox'
import { BOT_NAME_PATTERN, SCOPE_PATTERN } from '../bots/bot.ts'
import { DURATION_PATTERN } from '../duration.ts'

export const OrNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])
export const Moment = Type.String({ format: 'date-time' })
export const MomentOrNull = OrNull(Moment)
export const Duration = Type.String({ pattern: DURATION_PATTERN, examples: ['90s', '15m', '24h', '30d'] })
export const BotName = Type.String({ pattern: BOT_NAME_PATTERN })
export const Scope = Type.String({ pattern: SCOPE_PATTERN })
export const Reason = Type.String({ minLength: 1, maxLength: 200 })

const MOMENT = { description: 'ISO 8601, UTC' }
const Texts = Type.Unsafe<readonly string[]>({ type: 'array', items: { type: 'string' } })

/** Written with types rather than with a union: its serialiser then looks, and validates nothing. */
const oneOf = <T extends string>(...words: readonly T[]) => Type.Unsafe<T>({ type: 'string', enum: [...words] })
const textOrNull = (more: object = {}) => Type.Unsafe<string | null>({ type: ['string', 'null'], ...more })

export const PrincipalSchema = Type.Object({
  kind: oneOf('bot', 'user'),
  name: Type.String(),
  email: textOrNull(),
  issuer: Type.String(),
  subject: Type.String(),
  clientId: textOrNull(),
  audience: Texts,
  roles: Texts,
  groups: Texts,
  scopes: Texts,
  admin: Type.Boolean(),
  legacy: Type.Boolean(),
  tokenUse: oneOf('access', 'id'),
  tokenId: textOrNull(),
  pipeline: textOrNull({ description: 'That a bot\'s token was asked for' }),
  runId: textOrNull(),
  issuedAt: textOrNull(MOMENT),
  expiresAt: textOrNull(MOMENT),
  claims: Type.Unsafe<Readonly<Record<string, unknown>>>({ description: 'The verified payload, as it is' })
})
