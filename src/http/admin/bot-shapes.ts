/** Bots and secrets as the admin API takes and shows them, and what a request makes of a bot. */
import { Type, type Static } from 'typebox'
import { emailOf, type Bot, type StoredSecret } from '../../bots/bot.ts'
import type { BotDraft } from '../../bots/bot-draft.ts'
import { WORK_NAME_PATTERN } from '../../bots/pipelines.ts'
import { formatDuration, parseDuration } from '../../duration.ts'
import { invalid } from '../problems.ts'
import { BotName, Duration, Moment, MomentOrNull, OrNull, Scope } from '../schemas.ts'

export interface BotPolicy {
  issuer: string
  principalDomain: string
  /** What a new bot gets. */
  audience: readonly string[]
  maxTokenTtlSeconds: number
}

const Word = Type.String({ minLength: 1, maxLength: 256 })
/** Of a pipeline, or of a run. */
export const WorkName = Type.String({ pattern: WORK_NAME_PATTERN })
const Words = Type.Array(Type.String())
/** What may be said of a bot. */
export const Changes = {
  displayName: Type.Optional(OrNull(Type.String({ minLength: 1, maxLength: 256 }))),
  email: Type.Optional(OrNull(Type.String({ maxLength: 254, pattern: '^[^\\s@]+@[^\\s@]+$', description: 'null: <name>@<principal domain>' }))),
  roles: Type.Optional(Type.Array(Word, { maxItems: 100, uniqueItems: true })),
  scopes: Type.Optional(Type.Array(Scope, { maxItems: 100, uniqueItems: true })),
  audiences: Type.Optional(Type.Array(Word, { minItems: 1, maxItems: 20, uniqueItems: true, description: 'Whom its tokens are meant for' })),
  tokenTtl: Type.Optional(OrNull(Duration)),
  cognitoClientIds: Type.Optional(Type.Array(Word, { maxItems: 20, uniqueItems: true, description: 'Machine clients of the user pool that are this bot' })),
  pipelines: Type.Optional(Type.Array(WorkName, { maxItems: 1000, uniqueItems: true, description: 'Pipelines that it gets tokens for; empty: any' }))
}

export const CreateBotRequest = Type.Object({ name: BotName, ...Changes }, { additionalProperties: false })
export const ChangeBotRequest = Type.Object({ ...Changes, enabled: Type.Optional(Type.Boolean()) }, { additionalProperties: false })

export const BotSchema = Type.Object({
  name: Type.String(),
  clientId: Type.String(),
  displayName: OrNull(Type.String()),
  email: Type.String(),
  roles: Words,
  scopes: Words,
  audiences: Words,
  tokenTtl: OrNull(Duration),
  cognitoClientIds: Words,
  pipelines: Words,
  enabled: Type.Boolean(),
  createdAt: Moment,
  updatedAt: Moment
})

export const SecretSchema = Type.Object({
  id: Type.String(), createdAt: Moment, expiresAt: MomentOrNull, lastUsedAt: MomentOrNull, description: OrNull(Type.String())
})
export const NewSecretSchema = Type.Object({
  id: Type.String(), secret: Type.String({ description: 'Shown once' }), createdAt: Moment, expiresAt: MomentOrNull, description: OrNull(Type.String())
})

export const PageQuery = Type.Object({
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
  after: Type.Optional(Type.String({ description: '`next` of the page before' }))
}, { additionalProperties: false })
export const ByName = Type.Object({ name: Type.String() })

export function showBot (bot: Bot, { principalDomain }: Pick<BotPolicy, 'principalDomain'>): Static<typeof BotSchema> {
  const { name, displayName, roles, scopes, audiences, tokenTtlSeconds, cognitoClientIds, pipelines, enabled } = bot
  return {
    name,
    clientId: name,
    displayName,
    email: emailOf(bot, principalDomain),
    roles: [...roles],
    scopes: [...scopes],
    audiences: [...audiences],
    tokenTtl: tokenTtlSeconds === null ? null : formatDuration(tokenTtlSeconds),
    cognitoClientIds: [...cognitoClientIds],
    pipelines: [...pipelines],
    enabled,
    createdAt: bot.createdAt.toISOString(),
    updatedAt: bot.updatedAt.toISOString()
  }
}

export function showSecret ({ id, createdAt, expiresAt, lastUsedAt, description }: StoredSecret): Static<typeof SecretSchema> {
  return { id, createdAt: createdAt.toISOString(), expiresAt: expiresAt?.toISOString() ?? null, lastUsedAt: lastUsedAt?.toISOString() ?? null, description }
}

/** Throws a problem that names the field. */
export function readChanges (body: Static<typeof ChangeBotRequest>, policy: BotPolicy): BotDraft {
  const { tokenTtl, name: _, ...changes } = body as Static<typeof ChangeBotRequest> & { name?: string }
  return withoutUndefined({ ...changes, tokenTtlSeconds: typeof tokenTtl === 'string' ? readLife('tokenTtl', tokenTtl, policy) : tokenTtl })
}

/** A token's life, in seconds, at most the ceiling. Throws a problem that names the field, and the setting. */
export function readLife (field: string, text: string, { maxTokenTtlSeconds }: Pick<BotPolicy, 'maxTokenTtlSeconds'>): number {
  const seconds = readDuration(field, text)
  if (seconds > maxTokenTtlSeconds) throw invalid(field, `takes at most ${formatDuration(maxTokenTtlSeconds)}, which is MINTMARK_MAX_TOKEN_TTL`)
  return seconds
}

export function readDuration (field: string, text: string): number {
  const seconds = parseDuration(text)
  if (seconds === null) throw invalid(field, 'takes a duration from 1s up')
  return seconds
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

export function withoutUndefined<T extends object> (value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Defined<T>
}

/** A page, and where the next one begins. `found` is one more than `limit` if there is more. */
export function pageOf<T> (found: readonly T[], limit: number, keyOf: (item: T) => string): { page: readonly T[], next: string | null } {
  const page = found.slice(0, limit)
  const last = page.at(-1)
  return { page, next: found.length > limit && last !== undefined ? keyOf(last) : null }
}
