/** `/admin/bots` and their secrets. */
import { Type, type FastifyPluginAsyncTypebox, type Static } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { emailOf, type Bot, type StoredSecret } from '../bots/bot.ts'
import type { BotRegistry, SecretRegistry } from '../bots/bot-registry.ts'
import { draftBot, type BotDraft } from '../bots/bot-draft.ts'
import { newSecret } from '../bots/secret.ts'
import { formatDuration, parseDuration } from '../duration.ts'
import type { Clock } from '../keys/signing-key.ts'
import { ADMIN_SCOPES, assertFullAdmin } from './admin-guard.ts'
import { invalid, Problem } from './problems.ts'
import { BotName, Duration, Moment, MomentOrNull, OrNull, Scope } from './schemas.ts'

export interface AdminBotParts {
  bots: BotRegistry
  secrets: SecretRegistry
  policy: BotPolicy
  clock: Clock
  /** Called after each change, so that it is in force here before it is answered. */
  afterChange: () => Promise<void>
}

export interface BotPolicy {
  issuer: string
  principalDomain: string
  audience: readonly string[]
  maxTokenTtlSeconds: number
}

const Word = Type.String({ minLength: 1, maxLength: 256 })
const Changes = {
  displayName: Type.Optional(OrNull(Type.String({ minLength: 1, maxLength: 256 }))),
  email: Type.Optional(OrNull(Type.String({ maxLength: 254, pattern: '^[^\\s@]+@[^\\s@]+$' }))),
  roles: Type.Optional(Type.Array(Word, { maxItems: 100, uniqueItems: true })),
  scopes: Type.Optional(Type.Array(Scope, { maxItems: 100, uniqueItems: true })),
  audiences: Type.Optional(Type.Array(Word, { minItems: 1, maxItems: 20, uniqueItems: true })),
  tokenTtl: Type.Optional(OrNull(Duration))
}
const CreateRequest = Type.Object({ name: BotName, ...Changes }, { additionalProperties: false })
const ChangeRequest = Type.Object({ ...Changes, enabled: Type.Optional(Type.Boolean()) }, { additionalProperties: false })

const BotSchema = Type.Object({
  name: Type.String(),
  clientId: Type.String(),
  displayName: OrNull(Type.String()),
  email: Type.String(),
  roles: Type.Array(Type.String()),
  scopes: Type.Array(Type.String()),
  audiences: Type.Array(Type.String()),
  tokenTtl: OrNull(Duration),
  enabled: Type.Boolean(),
  createdAt: Moment,
  updatedAt: Moment
})

const SecretSchema = Type.Object({
  id: Type.String(), createdAt: Moment, expiresAt: MomentOrNull, lastUsedAt: MomentOrNull, description: OrNull(Type.String())
})
const NewSecretSchema = Type.Object({
  id: Type.String(), secret: Type.String(), createdAt: Moment, expiresAt: MomentOrNull, description: OrNull(Type.String())
})
const SecretRequest = Type.Object({
  expiresIn: Type.Optional(Duration),
  description: Type.Optional(Type.String({ minLength: 1, maxLength: 200 }))
}, { additionalProperties: false })

const PageQuery = Type.Object({
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
  after: Type.Optional(Type.String())
}, { additionalProperties: false })
const ByName = Type.Object({ name: Type.String() })

export const adminBotRoutes: FastifyPluginAsyncTypebox<AdminBotParts> = async (app, { bots, secrets, policy, clock, afterChange }) => {
  app.post('/bots', {
    config: { needs: 'bots:write' },
    schema: { summary: 'Create a bot', body: CreateRequest, response: { 201: BotSchema } }
  }, async (request, reply) => {
    const bot = draftBot(request.body.name, readChanges(request.body, policy), policy.audience, clock())
    assertMayTouch(request, policy, bot)
    if (!await bots.create(bot)) throw new Problem('conflict', `There is a bot named ${bot.name} already`)
    await afterChange()
    return await reply.code(201).send(showBot(bot, policy))
  })

  app.get('/bots', {
    config: { needs: 'bots:read' },
    schema: { summary: 'Bots by name', querystring: PageQuery, response: { 200: Type.Object({ bots: Type.Array(BotSchema), next: OrNull(Type.String()) }) } }
  }, async ({ query: { limit, after } }) => {
    const found = await bots.list({ limit: limit + 1, after })
    const page = found.slice(0, limit)
    return { bots: page.map(bot => showBot(bot, policy)), next: found.length > limit ? page.at(-1)?.name ?? null : null }
  })

  app.get('/bots/:name', {
    config: { needs: 'bots:read' },
    schema: { summary: 'One bot', params: ByName, response: { 200: BotSchema } }
  }, async ({ params }) => showBot(await findBot(bots, params.name), policy))

  app.patch('/bots/:name', {
    config: { needs: 'bots:write' },
    schema: { summary: 'Change a bot, switch it off or on', params: ByName, body: ChangeRequest, response: { 200: BotSchema } }
  }, async request => {
    const changes = readChanges(request.body, policy)
    const changed = await bots.update(request.params.name, bot => {
      const after = { ...bot, ...changes, updatedAt: clock() }
      assertMayTouch(request, policy, bot, after)
      return after
    })
    if (!changed) throw noSuchBot()
    await afterChange()
    return showBot(changed, policy)
  })

  app.post('/bots/:name/secrets', {
    config: { needs: 'bots:write' },
    schema: { summary: 'Make a secret: it is shown once', params: ByName, body: SecretRequest, response: { 201: NewSecretSchema } }
  }, async (request, reply) => {
    assertMayTouch(request, policy, await findBot(bots, request.params.name))
    const { secret, stored } = newSecret(request.params.name, { ...readSecretRequest(request.body), now: clock() })
    if (!await secrets.add(stored)) throw noSuchBot()
    const { lastUsedAt: _, ...shown } = showSecret(stored)
    return await reply.code(201).header('cache-control', 'no-store').send({ ...shown, secret })
  })

  app.get('/bots/:name/secrets', {
    config: { needs: 'bots:read' },
    schema: { summary: 'Secrets of a bot, never themselves', params: ByName, response: { 200: Type.Object({ secrets: Type.Array(SecretSchema), next: Type.Null() }) } }
  }, async ({ params }) => {
    await findBot(bots, params.name)
    return { secrets: (await secrets.list(params.name)).map(showSecret), next: null }
  })

  app.delete('/bots/:name/secrets/:id', {
    config: { needs: 'bots:write' },
    schema: { summary: 'Revoke a secret', params: Type.Object({ name: Type.String(), id: Type.String() }), response: { 204: Type.Null() } }
  }, async (request, reply) => {
    assertMayTouch(request, policy, await findBot(bots, request.params.name))
    if (!await secrets.remove(request.params.name, request.params.id)) throw new Problem('not_found', 'The bot has no secret of this id')
    return await reply.code(204).send(null)
  })
}

export function showBot (bot: Bot, { principalDomain }: { principalDomain: string }): Static<typeof BotSchema> {
  const { name, displayName, roles, scopes, audiences, tokenTtlSeconds, enabled } = bot
  return {
    name,
    clientId: name,
    displayName,
    email: emailOf(bot, principalDomain),
    roles: [...roles],
    scopes: [...scopes],
    audiences: [...audiences],
    tokenTtl: tokenTtlSeconds === null ? null : formatDuration(tokenTtlSeconds),
    enabled,
    createdAt: bot.createdAt.toISOString(),
    updatedAt: bot.updatedAt.toISOString()
  }
}

export function showSecret ({ id, createdAt, expiresAt, lastUsedAt, description }: StoredSecret): Static<typeof SecretSchema> {
  return { id, createdAt: createdAt.toISOString(), expiresAt: expiresAt?.toISOString() ?? null, lastUsedAt: lastUsedAt?.toISOString() ?? null, description }
}

/** A bot that may administer, before or after the act, is a full admin's business: else `bots:write` could give itself more. */
function assertMayTouch (request: FastifyRequest, { issuer }: BotPolicy, ...states: Bot[]): void {
  const administers = states.some(bot => bot.audiences.includes(issuer) || bot.scopes.some(scope => ADMIN_SCOPES.includes(scope)))
  if (administers) assertFullAdmin(request, 'An act on a bot that may administer')
}

async function findBot (bots: BotRegistry, name: string): Promise<Bot> {
  const bot = await bots.find(name)
  if (!bot) throw noSuchBot()
  return bot
}

const noSuchBot = (): Problem => new Problem('not_found', 'There is no bot of this name')

function readChanges (body: Static<typeof ChangeRequest>, policy: BotPolicy): BotDraft {
  const { displayName, email, roles, scopes, audiences, tokenTtl, enabled } = body
  return withoutUndefined({ displayName, email, roles, scopes, audiences, enabled, tokenTtlSeconds: readTokenTtl(tokenTtl, policy) })
}

function readTokenTtl (tokenTtl: string | null | undefined, { maxTokenTtlSeconds }: BotPolicy): number | null | undefined {
  if (tokenTtl === undefined || tokenTtl === null) return tokenTtl
  const seconds = readDuration('tokenTtl', tokenTtl)
  if (seconds > maxTokenTtlSeconds) throw invalid('tokenTtl', `takes at most ${formatDuration(maxTokenTtlSeconds)} (MINTMARK_MAX_TOKEN_TTL)`)
  return seconds
}

function readSecretRequest ({ expiresIn, description }: Static<typeof SecretRequest>): { expiresInSeconds?: number, description?: string } {
  return withoutUndefined({ description, expiresInSeconds: expiresIn === undefined ? undefined : readDuration('expiresIn', expiresIn) })
}

function readDuration (field: string, text: string): number {
  const seconds = parseDuration(text)
  if (seconds === null) throw invalid(field, 'takes a duration from 1s up')
  return seconds
}

function withoutUndefined<T extends object> (value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
