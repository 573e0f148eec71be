/** Asks for a bot's token with a workload's own (RFC 8693). */
import type { LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import type { BotDraft } from '../../src/bots/bot-draft.ts'
import type { TrustRule } from '../../src/bots/bot.ts'
import { postForm } from './asking.ts'
import type { Platform } from './platforms.ts'
import { startService, type Service, type Teardown } from './service.ts'

export const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const TYPE = 'urn:ietf:params:oauth:token-type:'
export const AUDIENCE = 'https://tokens.example.com'

export async function exchange ({ app }: Service, token: string, more: Record<string, string> = {}, client?: { clientId: string, clientSecret: string }): Promise<LightMyRequestResponse> {
  return await postForm(app, '/oauth/token', { grant_type: EXCHANGE, subject_token: token, subject_token_type: `${TYPE}jwt`, ...more }, client)
}

/** Asserts that a request was refused as RFC 6749 has it. */
export function refused (t: Pick<Test, 'match'>, answer: LightMyRequestResponse, error: string, told: RegExp, message: string): void {
  const status = error === 'temporarily_unavailable' ? 503 : 400
  t.match({ status: answer.statusCode, cached: answer.headers['cache-control'], ...answer.json<object>() }, { status, cached: 'no-store', error, error_description: told }, message)
}

export interface Setting extends Service {
  platform: Platform
  rule: TrustRule
  /** What a token of the workload says. */
  claims: (changes?: Record<string, unknown>) => Record<string, unknown>
  sign: (changes?: Record<string, unknown>, header?: Record<string, unknown>) => Promise<string>
}

/** A service with a bot that trusts one workload of the platform. */
export async function serviceTrusting (t: Teardown, platform: Platform, rule: Partial<TrustRule> = {}, draft: BotDraft = {}, environment: Record<string, string> = {}): Promise<Setting> {
  const service = await startService(t, { MINTMARK_TRUSTED_ISSUERS: `[${platform.issuer}]`, ...environment })
  const whole = { issuer: platform.issuer, audience: AUDIENCE, subject: 'system:serviceaccount:data:ingestion', ...rule }
  await service.bot('ingestion-bot', { scopes: ['metadata:write', 'metadata:read'], audiences: ['metadata-api', 'lineage-api'], trust: [whole], ...draft })
  const claims: Setting['claims'] = (changes = {}) => {
    const now = Math.floor(service.clock().getTime() / 1000)
    return { iss: platform.issuer, sub: 'system:serviceaccount:data:ingestion', aud: [AUDIENCE], iat: now, nbf: now, exp: now + 600, ...changes }
  }
  return { ...service, platform, rule: whole, claims, sign: async (changes, header) => await platform.signer.sign(claims(changes), header) }
}
