/** `/admin/bots`: make, show, change, delete, and take back their tokens. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { FastifyRequest } from 'fastify'
import type { Bot } from '../../bots/bot.ts'
import type { BotReader, BotWriter } from '../../bots/bot-registry.ts'
import { draftBot } from '../../bots/bot-draft.ts'
import type { KeyRing } from '../../keys/key-ring.ts'
import { cutoffAt, type Clock } from '../../keys/signing-key.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { RevokedRun } from '../../tokens/revocations.ts'
import type { TokenRegistry } from '../../tokens/token-registry.ts'
import { fitsIntoToken } from '../../tokens/mint.ts'
import { invalid, Problem } from '../problems.ts'
import { Moment, OrNull } from '../schemas.ts'
import { BotSchema, ByName, ChangeBotRequest, CreateBotRequest, pageOf, PageQuery, readChanges, showBot, WorkName, type BotPolicy } from './bot-shapes.ts'
import { ADMIN_SCOPES, assertFullAdmin, byOf } from './guard.ts'

export interface AdminBotParts {
  bots: BotReader & BotWriter
  tokens: TokenRegistry
  ring: KeyRing
  policy: BotPolicy
  clock: Clock
  metrics: Metrics
  /** Called after each change, so that it is in force here before it is answered. */
  afterChange: (bot: string) => Promise<void>
}

export const adminBotRoutes: FastifyPluginAsyncTypebox<AdminBotParts> = async (app, { bots, tokens, ring, policy, clock, metrics, afterChange }) => {
  app.post('/bots', {
    config: { needs: 'bots:write', action: 'bot.created', fails: ['conflict'] },
    schema: { summary: 'Create a bot', body: CreateBotRequest, response: { 201: BotSchema } }
  }, async (request, reply) => {
    const bot = draftBot(request.body.name, readChanges(request.body, policy), policy.audience, clock())
    assertMayTouch(request, policy, bot)
    assertFits(bot, policy)
    const outcome = await bots.create(bot, null, { ...byOf(request), action: 'bot.created', target: bot.name, detail: { ...request.body } })
    if (outcome === 'name taken') throw new Problem('conflict', `There is a bot named ${bot.name} already`)
    if (outcome === 'client id taken') throw clientTaken()
    await afterChange(bot.name)
    return await reply.code(201).send(showBot(bot, policy))
  })

  app.get('/bots', {
    config: { needs: 'bots:read', action: 'bots.read' },
    schema: { summary: 'Bots by name', querystring: PageQuery, response: { 200: Type.Object({ bots: Type.Array(BotSchema), next: OrNull(Type.String()) }) } }
  }, async ({ query: { limit, after } }) => {
    const { page, next } = pageOf(await bots.list({ limit: limit + 1, after }), limit, bot => bot.name)
    return { bots: page.map(bot => showBot(bot, policy)), next }
  })

  app.get('/bots/:name', {
    config: { needs: 'bots:read', action: 'bots.read', fails: ['not_found'] },
    schema: { summary: 'One bot', params: ByName, response: { 200: BotSchema } }
  }, async ({ params }) => showBot(await findBot(bots, params.name), policy))

  app.patch('/bots/:name', {
    config: { needs: 'bots:write', action: 'bot.updated', fails: ['not_found', 'conflict'] },
    schema: { summary: 'Change a bot, switch it off or on', description: 'Tokens that it has keep what they were issued with.', params: ByName, body: ChangeBotRequest, response: { 200: BotSchema } }
  }, async request => {
    const changes = readChanges(request.body, policy)
    const outcome = await bots.update(request.params.name, bot => {
      const after = { ...bot, ...changes, updatedAt: clock() }
      assertMayTouch(request, policy, bot, after)
      assertFits(after, policy)
      return after
    }, { ...byOf(request), action: 'bot.updated', target: request.params.name, detail: { ...request.body } })
    if ('failed' in outcome) throw outcome.failed === 'no such bot' ? noSuchBot() : clientTaken()
    await afterChange(request.params.name)
    return showBot(outcome.done, policy)
  })

  app.delete('/bots/:name', {
    config: { needs: 'bots:write', action: 'bot.deleted', fails: ['not_found'] },
    schema: { summary: 'Delete a bot, its secrets and its tokens', params: ByName, response: { 204: Type.Null() } }
  }, async (request, reply) => {
    const event = { ...byOf(request), action: 'bot.deleted', target: request.params.name }
    if (!await bots.remove(request.params.name, bot => { assertMayTouch(request, policy, bot) }, cutoffAt(ring.all(), clock()), event)) throw noSuchBot()
    await afterChange(request.params.name)
    metrics.revoked('bot')
    return await reply.code(204).send(null)
  })

  app.post('/bots/:name/revoke-tokens', {
    config: { needs: 'bots:write', action: 'bot.tokens_revoked', fails: ['not_found'] },
    schema: {
      summary: 'Take back every token that was issued to a bot so far, or every one of a run',
      description: 'With `run`, those that were asked for with this `mintmark_run`; the run gets no more. Other tokens of the bot live on.',
      params: ByName,
      body: Type.Object({ run: Type.Optional(WorkName) }, { additionalProperties: false }),
      response: { 200: Type.Object({ notBefore: Type.Optional(Moment), run: Type.Optional(Type.String()), until: Type.Optional(Moment) }) }
    }
  }, async request => {
    const { params: { name }, body: { run } } = request
    const cutoff = cutoffAt(ring.all(), clock())
    if (run !== undefined) return await revokeRun(request, { bot: name, run, until: cutoff.until })
    const event = { ...byOf(request), action: 'bot.tokens_revoked', target: request.params.name, detail: { notBefore: new Date(cutoff.notBefore * 1000) } }
    if (!await tokens.revokeTokensOf(request.params.name, bot => { assertMayTouch(request, policy, bot) }, cutoff, event)) throw noSuchBot()
    await afterChange(request.params.name)
    metrics.revoked('bot')
    return { notBefore: new Date(cutoff.notBefore * 1000).toISOString() }
  })

  async function revokeRun (request: FastifyRequest, revoked: RevokedRun): Promise<{ run: string, until: string }> {
    const { bot, run } = revoked
    const until = new Date(revoked.until * 1000).toISOString()
    const event = { ...byOf(request), action: 'bot.tokens_revoked', target: bot, detail: { run, until } }
    if (!await tokens.revokeRun(revoked, each => { assertMayTouch(request, policy, each) }, event)) throw noSuchBot()
    await afterChange(bot)
    metrics.revoked('run')
    return { run, until }
  }
}

/** A bot that may administer, before or after the act, is a full admin's business: else `bots:write` could give itself more. */
export function assertMayTouch (request: FastifyRequest, { issuer }: Pick<BotPolicy, 'issuer'>, ...states: Bot[]): void {
  const administers = states.some(bot => bot.audiences.includes(issuer) || bot.scopes.some(scope => ADMIN_SCOPES.includes(scope)))
  if (administers) assertFullAdmin(request, 'An act on a bot that may administer')
}

/** Throws a problem if a token of the bot would be larger than any verifier takes. */
function assertFits (bot: Bot, policy: BotPolicy): void {
  if (!fitsIntoToken(bot, policy)) throw invalid('roles', ', scopes and audiences together would make tokens larger than the 8 KiB that verifiers take')
}

/** Throws a problem if there is no such bot. */
export async function findBot (bots: Pick<BotReader, 'find'>, name: string): Promise<Bot> {
  const bot = await bots.find(name)
  if (!bot) throw noSuchBot()
  return bot
}

export const noSuchBot = (): Problem => new Problem('not_found', 'There is no bot of this name')
const clientTaken = (): Problem => new Problem('conflict', 'Another bot lists one of these cognitoClientIds already')
