/** Who a client of the OAuth endpoints is (RFC 6749 2.3.1): credentials out of the request, held against the bots. */
import type { FastifyRequest } from 'fastify'
import type { Bot } from '../../bots/bot.ts'
import type { BotCache } from '../../bots/bot-cache.ts'
import { matchSecret } from '../../bots/secret.ts'
import type { SecretUsage } from '../../bots/secret-usage.ts'
import { isSentTwice } from '../../verify/bearer-token.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parameters } from './parameters.ts'
import type { FailedLogins } from './failed-logins.ts'

interface Credentials {
  clientId: string
  clientSecret: string
}

export interface AuthenticationParts {
  botCache: BotCache
  secretUsage: SecretUsage
  failedLogins: FailedLogins
  clock: () => Date
}

export type AuthenticateClient = (request: FastifyRequest, parameters: Parameters) => Promise<Bot>

/**
 * @returns a function that throws `OAuthError`: an unknown client, a wrong or expired secret and a disabled bot look the same,
 * and take the same time. The right secret always gets in, however many wrong ones came before it.
 */
export function createClientAuthentication ({ botCache, secretUsage, failedLogins, clock }: AuthenticationParts): AuthenticateClient {
  return async (request, parameters) => {
    const { clientId, clientSecret } = credentialsOf(request, parameters)
    const [bot, known] = await Promise.all([botCache.find(clientId), botCache.secretsOf(clientId)])
    const matched = matchSecret(clientSecret, known, clock())
    if (bot?.enabled && matched) {
      secretUsage.note(matched.id)
      return bot
    }
    // A known name only: whatever else stands there may be a secret that went into the wrong field.
    if (bot) request.log.warn({ bot: bot.name }, bot.enabled ? 'a bot\'s secret was wrong or has expired' : 'a bot that is switched off asked for a token')
    await failedLogins.count(request, clientId)
    throw new OAuthError('invalid_client', 'Client id or client secret is wrong')
  }
}

function credentialsOf (request: FastifyRequest, parameters: Parameters): Credentials {
  const { authorization } = request.headers
  const inBody = parameters.get('client_secret')
  if (isSentTwice(request.raw.rawHeaders) || (authorization !== undefined && inBody !== undefined)) throw new OAuthError('invalid_request', 'Authenticate in one way, not by header and by body')
  const inHeader = basicCredentials(authorization)
  const clientId = parameters.get('client_id')
  if (inHeader) {
    if (clientId !== undefined && clientId !== inHeader.clientId) throw new OAuthError('invalid_request', 'client_id is not the client of the Authorization header')
    return inHeader
  }
  if (clientId === undefined || inBody === undefined) throw new OAuthError('invalid_client', 'Authenticate by HTTP Basic, or by client_id and client_secret in the body')
  return { clientId, clientSecret: inBody }
}

/** Both halves are form-urlencoded before they are joined (RFC 6749 2.3.1). */
function basicCredentials (authorization: string | undefined): Credentials | null {
  if (authorization === undefined) return null
  const [, encoded] = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization) ?? []
  const decoded = Buffer.from(encoded ?? '', 'base64').toString()
  const colon = decoded.indexOf(':')
  if (colon === -1) throw new OAuthError('invalid_client', 'The Authorization header takes the form "Basic base64(client_id:client_secret)"')
  try {
    return { clientId: formDecode(decoded.slice(0, colon)), clientSecret: formDecode(decoded.slice(colon + 1)) }
  } catch {
    throw new OAuthError('invalid_client', 'Client id and client secret are form-urlencoded before they are joined (RFC 6749 2.3.1)')
  }
}

function formDecode (text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}
