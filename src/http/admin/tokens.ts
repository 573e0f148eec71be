/** `POST /admin/bots/{name}/tokens`: a token to paste, for tools that cannot fetch one. Takes OpenMetadata's own words for its life. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type, type Static } from 'typebox'
import type { BotReader } from '../../bots/bot-registry.ts'
import { faultOfWork } from '../../bots/pipelines.ts'
import type { AuditTrail } from '../../telemetry/audit.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { CannotMint, RunRevoked, TokenTooLarge, type Mint } from '../../tokens/mint.ts'
import { invalid, Problem } from '../problems.ts'
import { Duration, Moment } from '../schemas.ts'
import { ByName, readLife, withoutUndefined, type BotPolicy } from './bot-shapes.ts'
import { assertMayTouch, findBot } from './bots.ts'
import { byOf } from './guard.ts'

export interface AdminTokenParts {
  bots: BotReader
  mint: Mint
  audit: AuditTrail
  policy: BotPolicy
  metrics: Metrics
}

/** OpenMetadata's JWTTokenExpiry: an hour, or a number of days. */
const LIVES = new Map([['OneHour', '1h'], ['1', '1d'], ['7', '7d'], ['30', '30d'], ['60', '60d'], ['90', '90d']])

const TokenRequest = Type.Object({
  expiry: Type.Optional(Type.String({ description: `OpenMetadata's words: ${[...LIVES.keys()].join(', ')} (days)`, examples: [...LIVES.keys()] })),
  expiresIn: Type.Optional(Duration),
  pipeline: Type.Optional(Type.String({ description: 'What it is for; of a bot with pipelines it has to be one of those' })),
  run: Type.Optional(Type.String())
}, { additionalProperties: false })

export const adminTokenRoutes: FastifyPluginAsyncTypebox<AdminTokenParts> = async (app, { bots, mint, audit, policy, metrics }) => {
  app.post('/bots/:name/tokens', {
    config: { needs: 'bots:write', action: 'token.issued', fails: ['not_found', 'conflict'] },
    schema: {
      summary: 'Make a token to paste; earlier ones stay valid',
      params: ByName,
      body: TokenRequest,
      response: { 201: Type.Object({ token: Type.String(), tokenId: Type.String(), expiresAt: Moment }) }
    }
  }, async (request, reply) => {
    await mint.untilIssuable(request.params.name)
    const bot = await findBot(bots, request.params.name)
    assertMayTouch(request, policy, bot)
    const ttlSeconds = lifeOf(request.body, policy)
    if (!bot.enabled) throw new Problem('conflict', 'The bot is switched off: enable it first')
    const { pipeline, run } = request.body
    const fault = faultOfWork(bot, { pipeline, run })
    if (fault) throw invalid(fault.part, fault.message)
    const { token, tokenId, expiresAt } = await mint({ bot, scopes: bot.scopes, audiences: bot.audiences, ttlSeconds, work: { pipeline, run } }).catch(asProblem)
    await audit.append([{ ...byOf(request), action: 'token.issued', target: bot.name, detail: withoutUndefined({ tokenId, expiresAt, pipeline, run }) }])
    metrics.tokenIssued('admin')
    return await reply.code(201).header('cache-control', 'no-store').send({ token, tokenId, expiresAt: expiresAt.toISOString() })
  })
}

function asProblem (error: unknown): never {
  if (error instanceof RunRevoked) throw new Problem('conflict', 'The tokens of this run were revoked, and it gets no more: a new run takes another name', { cause: error })
  if (error instanceof TokenTooLarge) throw new Problem('conflict', 'The token would be too large for any verifier: take roles, scopes or audiences from the bot', { cause: error })
  if (error instanceof CannotMint) throw new Problem('unavailable', 'No token can be made now: try again shortly', { cause: error })
  throw error
}

function lifeOf ({ expiry, expiresIn }: Static<typeof TokenRequest>, policy: BotPolicy): number {
  if ((expiry === undefined) === (expiresIn === undefined)) throw invalid('expiry', 'or expiresIn: send one of them')
  if (expiresIn !== undefined) return readLife('expiresIn', expiresIn, policy)
  if (expiry === 'Unlimited') throw invalid('expiry', 'Unlimited does not exist here: no token lives for ever. Let the pipeline fetch its tokens (POST /oauth/token), or name an end, up to MINTMARK_MAX_TOKEN_TTL')
  const life = LIVES.get(expiry ?? '')
  if (life === undefined) throw invalid('expiry', `takes ${[...LIVES.keys()].join(', ')}`)
  return readLife('expiry', life, policy)
}
