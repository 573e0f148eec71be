/** Ways to authenticate without a stored secret: the bot's public keys, and whose workload tokens it trusts. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { FastifyRequest } from 'fastify'
import type { Bot, ClientKey, TrustRule } from '../../bots/bot.ts'
import type { BotReader, BotWriter } from '../../bots/bot-registry.ts'
import { faultOfClientKey, faultOfClientKeys } from '../../bots/client-keys.ts'
import { faultsOfTrustRule } from '../../bots/trust.ts'
import type { Clock } from '../../keys/signing-key.ts'
import { Problem, type FieldFault } from '../problems.ts'
import { compileBody } from '../requests.ts'
import { ByName, type BotPolicy } from './bot-shapes.ts'
import { assertMayTouch, noSuchBot } from './bots.ts'
import { byOf } from './guard.ts'

export interface AdminCredentialParts {
  bots: BotReader & BotWriter
  policy: BotPolicy
  clock: Clock
  isTrustedIssuer: (issuer: string) => boolean
  afterChange: (bot: string) => Promise<void>
}

const Text = Type.Optional(Type.String({ maxLength: 4_000 }))
const PublicJwk = Type.Object({ kty: Type.String(), crv: Text, x: Text, y: Text, n: Text, e: Text, kid: Text, alg: Text, use: Text, key_ops: Type.Optional(Type.Array(Type.String(), { maxItems: 10 })), d: Text, k: Text }, { additionalProperties: { type: 'string', maxLength: 20_000 } })
export const KeySet = Type.Object({ keys: Type.Array(PublicJwk, { maxItems: 20, description: 'Public JWKs: RSA from 2048 bit, EC P-256, OKP Ed25519' }) }, { additionalProperties: false })

const Word = Type.String({ minLength: 1, maxLength: 1024 })
export const TrustRules = Type.Array(Type.Object({
  issuer: Word,
  audience: Word,
  subject: Type.String({ minLength: 1, maxLength: 1024, description: 'Exact, or with one * at its end after a prefix with a : or /: at least one character then follows the prefix' }),
  claims: Type.Optional(Type.Record(Type.String(), Type.Union([Type.String({ maxLength: 1024 }), Type.Boolean(), Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER })]), {
    description: 'Claims that must have these values, or lists that hold them. By name; one inside another by JSON Pointer: /kubernetes.io/namespace'
  })),
  pipelineClaim: Type.Optional(Type.String({ minLength: 1, maxLength: 1024, description: 'The claim that names the pipeline, by name or by JSON Pointer' })),
  runClaim: Type.Optional(Type.String({ minLength: 1, maxLength: 1024, description: 'The claim that names the run' }))
}, { additionalProperties: false }), { maxItems: 50 })

/** For what comes in a file. */
export const judgeKeySet = compileBody(KeySet)
export const judgeTrustRules = compileBody(TrustRules)

export const adminCredentialRoutes: FastifyPluginAsyncTypebox<AdminCredentialParts> = async (app, { bots, policy, clock, isTrustedIssuer, afterChange }) => {
  async function change (request: FastifyRequest<{ Params: { name: string } }>, changes: Partial<Bot>, action: string, detail: Record<string, unknown>): Promise<void> {
    const { name } = request.params
    const outcome = await bots.update(name, bot => {
      assertMayTouch(request, policy, bot)
      return { ...bot, ...changes, updatedAt: clock() }
    }, { ...byOf(request), action, target: name, detail })
    if ('failed' in outcome) throw noSuchBot()
    await afterChange(name)
  }

  app.put('/bots/:name/jwks', {
    config: { needs: 'bots:write', action: 'bot.jwks_set', fails: ['not_found'] },
    schema: { summary: 'Set the public keys that a bot authenticates with (private_key_jwt)', params: ByName, body: KeySet, response: { 200: KeySet } }
  }, async request => {
    const keys = request.body.keys as ClientKey[]
    assertNoFaults([...faultsOfKeys(keys)])
    await change(request, { jwks: keys }, 'bot.jwks_set', { kids: keys.map(key => key.kid ?? null) })
    return { keys }
  })

  app.put('/bots/:name/trust', {
    config: { needs: 'bots:write', action: 'bot.trust_set', fails: ['not_found'] },
    schema: { summary: 'Set whose workload tokens may be exchanged for tokens of a bot', params: ByName, body: TrustRules, response: { 200: TrustRules } }
  }, async request => {
    const rules = request.body as TrustRule[]
    assertNoFaults(faultsOfTrust(rules, isTrustedIssuer))
    await change(request, { trust: rules }, 'bot.trust_set', { rules })
    return request.body
  })
}

export function * faultsOfKeys (keys: readonly ClientKey[]): Generator<FieldFault> {
  for (const [place, key] of keys.entries()) {
    const message = faultOfClientKey(key)
    if (message !== null) yield { field: `keys.${place}`, message }
  }
  const message = faultOfClientKeys(keys)
  if (message !== null) yield { field: 'keys', message }
}

export function faultsOfTrust (rules: readonly TrustRule[], isTrustedIssuer: (issuer: string) => boolean): FieldFault[] {
  return rules.flatMap((rule, place) => faultsOfTrustRule(rule, isTrustedIssuer).map(({ field, message }) => ({ field: `${place}.${field}`, message })))
}

function assertNoFaults (faults: readonly FieldFault[]): void {
  if (faults.length > 0) throw new Problem('validation_failed', 'The request has faults, see errors', { faults })
}
