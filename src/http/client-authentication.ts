/** Who a client of the token endpoint is (RFC 6749 2.3.1): credentials out of the request, held against the bots. */
import type { FastifyRequest } from 'fastify'
import type { Bot } from '../bots/bot.ts'
import type { BotRegistry, SecretRegistry } from '../bots/bot-registry.ts'
import { matchSecret } from '../bots/secret.ts'
import type { Clock } from '../keys/signing-key.ts'
import { OAuthError } from './oauth-error.ts'

interface Credentials {
  clientId: string
  clientSecret: string
}

/** Throws `OAuthError`: an unknown client, a wrong or expired secret and a disabled bot look the same. */
export async function authenticateClient (
  request: FastifyRequest, parameters: ReadonlyMap<string, string>, parts: { bots: BotRegistry, secrets: SecretRegistry, clock: Clock }
): Promise<Bot> {
  const { clientId, clientSecret } = credentialsOf(request, parameters)
  const [bot, secrets] = await Promise.all([parts.bots.find(clientId), parts.secrets.list(clientId)])
  const matched = matchSecret(clientSecret, secrets, parts.clock())
  if (!bot?.enabled || !matched) throw new OAuthError('invalid_client', 'Client id or client secret is wrong')
  return bot
}

function credentialsOf (request: FastifyRequest, parameters: ReadonlyMap<string, string>): Credentials {
  const inHeader = basicCredentials(request.headers.authorization)
  const inBody = parameters.get('client_secret')
  if (inHeader && inBody !== undefined) throw new OAuthError('invalid_request', 'Authenticate in one way, not by header and by body')
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
