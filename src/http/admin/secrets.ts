/** `/admin/bots/{name}/secrets`: several may live side by side, so that one can be changed without an outage. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { FastifyRequest } from 'fastify'
import type { BotReader, CheckBot, SecretRegistry } from '../../bots/bot-registry.ts'
import { newSecret } from '../../bots/secret.ts'
import { addSeconds, type Clock } from '../../keys/signing-key.ts'
import { invalid, Problem } from '../problems.ts'
import { Duration, OrNull } from '../schemas.ts'
import { ByName, NewSecretSchema, pageOf, PageQuery, readDuration, SecretSchema, showSecret, withoutUndefined, type BotPolicy } from './bot-shapes.ts'
import { assertMayTouch, findBot, noSuchBot } from './bots.ts'
import { byOf } from './guard.ts'

export interface AdminSecretParts {
  bots: BotReader
  secrets: SecretRegistry
  policy: BotPolicy
  clock: Clock
  /** Called after each change, so that it is in force here before it is answered. */
  afterChange: (bot: string) => Promise<void>
}

const OneSecret = Type.Object({ name: Type.String(), id: Type.String() })

export const adminSecretRoutes: FastifyPluginAsyncTypebox<AdminSecretParts> = async (app, { bots, secrets, policy, clock, afterChange }) => {
  const mayTouch = (request: FastifyRequest): CheckBot => bot => { assertMayTouch(request, policy, bot) }

  app.post('/bots/:name/secrets', {
    config: { needs: 'bots:write', action: 'secret.created', fails: ['not_found'] },
    schema: {
      summary: 'Make a secret beside those that there are; it is shown once',
      params: ByName,
      body: Type.Object({ expiresIn: Type.Optional(Duration), description: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })) }, { additionalProperties: false }),
      response: { 201: NewSecretSchema }
    }
  }, async (request, reply) => {
    const { params: { name }, body: { expiresIn, description } } = request
    const expiresInSeconds = expiresIn === undefined ? undefined : readDuration('expiresIn', expiresIn)
    const { secret, stored } = newSecret(name, { ...withoutUndefined({ description, expiresInSeconds }), now: clock() })
    const { lastUsedAt: _, ...shown } = showSecret(stored)
    const event = { ...byOf(request), action: 'secret.created', target: name, detail: shown }
    if (!await secrets.add(stored, mayTouch(request), event)) throw noSuchBot()
    await afterChange(name)
    return await reply.code(201).header('cache-control', 'no-store').send({ ...shown, secret })
  })

  app.get('/bots/:name/secrets', {
    config: { needs: 'bots:read', action: 'bots.read', fails: ['not_found'] },
    schema: {
      summary: 'Secrets of a bot, never themselves, the newest first',
      params: ByName,
      querystring: PageQuery,
      response: { 200: Type.Object({ secrets: Type.Array(SecretSchema), next: OrNull(Type.String()) }) }
    }
  }, async ({ params, query: { limit, after } }) => {
    await findBot(bots, params.name)
    const all = await secrets.list(params.name)
    const from = after === undefined ? 0 : all.findIndex(secret => secret.id === after) + 1
    if (after !== undefined && from === 0) throw invalid('after', 'takes the `next` of the page before; that secret is gone: begin anew')
    const { page, next } = pageOf(all.slice(from, from + limit + 1), limit, secret => secret.id)
    return { secrets: page.map(showSecret), next }
  })

  app.patch('/bots/:name/secrets/:id', {
    config: { needs: 'bots:write', action: 'secret.updated', fails: ['not_found'] },
    schema: {
      summary: 'Let a secret expire sooner',
      params: OneSecret,
      body: Type.Object({ expiresIn: Duration }, { additionalProperties: false }),
      response: { 200: SecretSchema }
    }
  }, async request => {
    const { params: { name, id }, body: { expiresIn } } = request
    const expiresAt = addSeconds(clock(), readDuration('expiresIn', expiresIn))
    const secret = await secrets.update(name, id, before => {
      if (before.expiresAt && before.expiresAt < expiresAt) throw invalid('expiresIn', `takes less: the secret expires at ${before.expiresAt.toISOString()} already, and can only be made to expire sooner`)
      return { ...before, expiresAt }
    }, mayTouch(request), { ...byOf(request), action: 'secret.updated', target: name, detail: { id, expiresAt } })
    if (!secret) throw noSuchSecret()
    await afterChange(name)
    return showSecret(secret)
  })

  app.delete('/bots/:name/secrets/:id', {
    config: { needs: 'bots:write', action: 'secret.revoked', fails: ['not_found'] },
    schema: { summary: 'End a secret at once; tokens that were fetched with it live on', params: OneSecret, response: { 204: Type.Null() } }
  }, async (request, reply) => {
    const { params: { name, id } } = request
    if (!await secrets.remove(name, id, mayTouch(request), { ...byOf(request), action: 'secret.revoked', target: name, detail: { id } })) throw noSuchSecret()
    await afterChange(name)
    return await reply.code(204).send(null)
  })
}

const noSuchSecret = (): Problem => new Problem('not_found', 'The bot has no secret of this id')
