/** Who a client of the OAuth endpoints is: its credentials held against the bots, by secret or by a signed assertion (`private_key_jwt`). */
import type { FastifyRequest } from 'fastify'
import { logOf } from '../requests.ts'
import { judgeAssertion, type AssertionPolicy } from '../../bots/assertion.ts'
import type { AssertionLog } from '../../bots/assertion-log.ts'
import { isBotName, type Bot } from '../../bots/bot.ts'
import type { BotCache } from '../../bots/bot-cache.ts'
import type { ExpiringSecrets } from '../../bots/expiring-secrets.ts'
import { matchSecret } from '../../bots/secret.ts'
import type { SecretUsage } from '../../bots/secret-usage.ts'
import { credentialsOf, type Credentials } from './credentials.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parameters } from './parameters.ts'
import type { FailedLogins } from './failed-logins.ts'

export interface AuthenticationParts {
  botCache: BotCache
  secretUsage: SecretUsage
  expiringSecrets: ExpiringSecrets
  assertions: Pick<AssertionLog, 'use'>
  assertionPolicy: AssertionPolicy
  failedLogins: FailedLogins
  clock: () => Date
}

/** @param look `again`: the same request is looked at for a second time, so that its assertion has been used by itself */
export type AuthenticateClient = (request: FastifyRequest, parameters: Parameters, look?: 'first' | 'again') => Promise<Bot>

/** Why a client is not let in. `told` is for whoever asked, if it may be known there. */
interface Refusal {
  told?: string
  logged: string
}

/**
 * @returns a function that throws `OAuthError`: an unknown client, a wrong or expired secret, a key that is not the bot's and
 * a disabled bot look the same, and take the same time. Who is right always gets in, however many wrong attempts came before.
 */
export function createClientAuthentication (parts: AuthenticationParts): AuthenticateClient {
  const { botCache, failedLogins } = parts
  return async (request, parameters, look = 'first') => {
    const credentials = credentialsOf(request, parameters)
    const { clientId } = credentials
    // Other names are not asked for: no bot has them, and not every database takes every character.
    const bot = isBotName(clientId) ? await botCache.find(clientId) : null
    const refusal = credentials.by === 'secret'
      ? await faultOfSecret(request, credentials, bot, parts)
      : await faultOfAssertion(credentials, bot, look, parts)
    if (bot && !refusal) return bot
    // A known name only: whatever else stands there may be a secret that went into the wrong field.
    if (bot) logOf(request).warn({ bot: bot.name }, bot.enabled ? refusal?.logged : 'a bot that is switched off asked for a token')
    await failedLogins.count(request, clientId)
    throw new OAuthError('invalid_client', refusal?.told ?? (credentials.by === 'secret' ? 'Client id or client secret is wrong' : 'Client or client_assertion is wrong'))
  }
}

async function faultOfSecret (request: FastifyRequest, { clientId, secret }: Credentials & { by: 'secret' }, bot: Bot | null, { botCache, secretUsage, expiringSecrets, clock }: AuthenticationParts): Promise<Refusal | null> {
  const matched = matchSecret(secret, isBotName(clientId) ? await botCache.secretsOf(clientId) : [], clock())
  if (!bot?.enabled || !matched) return { logged: 'a bot\'s secret was wrong or has expired' }
  secretUsage.note(matched.id)
  if (expiringSecrets.used(matched)) logOf(request).warn({ bot: bot.name, secretId: matched.id, expiresAt: matched.expiresAt }, 'a secret that expires soon is still in use: give its bot\'s pipelines another (mintmark secret create)')
  return null
}

async function faultOfAssertion ({ clientId, assertion }: Credentials & { by: 'assertion' }, bot: Bot | null, look: 'first' | 'again', { assertions, assertionPolicy, clock }: AuthenticationParts): Promise<Refusal | null> {
  const judged = await judgeAssertion(assertion, clientId, bot?.jwks ?? [], clock(), assertionPolicy)
  if (!bot?.enabled || judged.is === 'not authentic') return { logged: 'a bot\'s assertion is signed by none of its keys: compare kid and key with those that were registered' }
  if (judged.is === 'wrong') return refusedAssertion(judged.why)
  if (look === 'again' || await assertions.use(bot.name, judged.jti, judged.until)) return null
  return refusedAssertion('it was used before (jti): make a new one for each request')
}

function refusedAssertion (why: string): Refusal {
  return { told: `client_assertion: ${why}`, logged: `a bot's assertion was refused: ${why}` }
}
