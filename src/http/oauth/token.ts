/** `POST /oauth/token` (RFC 6749 4.4, RFC 7523, RFC 8693, RFC 8707): a bot's credentials, or a workload's own token, for a bot's token. */
import { Type } from 'typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Bot } from '../../bots/bot.ts'
import type { Work } from '../../bots/pipelines.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { splitScope } from '../../tokens/claims.ts'
import type { Mint } from '../../tokens/mint.ts'
import type { AuthenticateClient } from './client-authentication.ts'
import { JWT_BEARER } from './credentials.ts'
import { OAuthError, printable } from './oauth-error.ts'
import { readParameters, required, type Form, type Parameters } from './parameters.ts'
import { ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE, type Exchange } from './token-exchange.ts'
import { assertMayWork, workAskedFor } from './work.ts'

const TokenResponse = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('Bearer'),
  expires_in: Type.Integer({ description: 'Seconds' }),
  scope: Type.Optional(Type.String()),
  issued_token_type: Type.Optional(Type.String({ description: 'After a token exchange' }))
})

const text = (description: string) => Type.Optional(Type.String({ description }))
const TokenRequest = Type.Object({
  grant_type: Type.Enum(['client_credentials', TOKEN_EXCHANGE]),
  scope: text('Space-separated; all that the bot has, if left out'),
  audience: text('Repeatable; `resource` means the same'),
  mintmark_pipeline: text('What the token is for; of a bot with pipelines it has to be one of those'),
  mintmark_run: text('The run of it; revoke-tokens can end the tokens of one run'),
  client_id: text('With client_secret, in place of HTTP Basic; with a token exchange it picks one of several bots'),
  client_secret: Type.Optional(Type.String()),
  client_assertion_type: Type.Optional(Type.Literal(JWT_BEARER)),
  client_assertion: text('A JWT that one of the bot\'s keys signed (RFC 7523), in place of a secret'),
  subject_token: text('Token exchange: the workload\'s own token, a JWT of one of MINTMARK_TRUSTED_ISSUERS'),
  subject_token_type: text('Token exchange: `urn:ietf:params:oauth:token-type:` with `jwt`, `id_token` or `access_token`'),
  requested_token_type: text('Token exchange: the same, with `access_token` or `jwt`')
})

const DESCRIPTION = `Two grants:

- \`client_credentials\`: authenticate by HTTP Basic, by \`client_id\` and \`client_secret\`, or by \`client_assertion\` (\`private_key_jwt\`: RS256, PS256, ES256 or EdDSA; \`iss\` and \`sub\` the client id, \`aud\` the issuer or this address, \`exp\` at most five minutes ahead, \`jti\` used once).
- \`${TOKEN_EXCHANGE}\`: \`subject_token\` of a workload issuer, for the token of the bot whose trust rule it meets.

\`scope\`, \`audience\` and \`resource\` narrow the token; \`mintmark_pipeline\` and \`mintmark_run\` become its claims \`pipeline\` and \`run_id\`.`

const GRANTS = `client_credentials or ${TOKEN_EXCHANGE}`

export interface TokenParts {
  authenticateClient: AuthenticateClient
  exchange: Exchange
  mint: Mint
  metrics: Metrics
}

/** Whose token it is, and what for. @param look see `AuthenticateClient` */
type Identify = (request: FastifyRequest, parameters: Parameters, look: 'first' | 'again') => Promise<{ bot: Bot, work: Work }>

export function addTokenRoute (app: FastifyInstance, { authenticateClient, exchange, mint, metrics }: TokenParts): void {
  const byCredentials: Identify = async (request, parameters, look) => ({ bot: await authenticateClient(request, parameters, look), work: workAskedFor(parameters) })

  app.post<{ Body: Form }>('/oauth/token', {
    config: { form: TokenRequest },
    schema: {
      tags: ['oauth'],
      summary: 'Fetch a token (RFC 6749, RFC 8693)',
      description: DESCRIPTION,
      consumes: ['application/x-www-form-urlencoded'],
      response: { 200: TokenResponse }
    }
  }, async request => {
    const parameters = readParameters(request.body)
    const isExchange = readGrantType(parameters) === TOKEN_EXCHANGE
    const identify: Identify = isExchange ? exchange : byCredentials
    const first = await identify(request, parameters, 'first')
    const { bot, work } = await mint.untilIssuable(first.bot.name) ? await identify(request, parameters, 'again') : first
    assertMayWork(bot, work)
    const minted = await mint({
      bot,
      work,
      scopes: grantedScopes(bot, parameters.get('scope')),
      audiences: grantedAudiences(bot, [...parameters.all('audience'), ...parameters.all('resource')])
    })
    metrics.tokenIssued(isExchange ? 'token_exchange' : 'client_credentials')
    return {
      access_token: minted.token,
      token_type: 'Bearer' as const,
      expires_in: minted.expiresInSeconds,
      ...(minted.scopes.length > 0 && { scope: minted.scopes.join(' ') }),
      ...(isExchange && { issued_token_type: ACCESS_TOKEN_TYPE })
    }
  })
}

function readGrantType (parameters: Parameters): string {
  const grantType = required(parameters, 'grant_type', GRANTS)
  if (grantType !== 'client_credentials' && grantType !== TOKEN_EXCHANGE) throw new OAuthError('unsupported_grant_type', `grant_type takes ${GRANTS}`)
  return grantType
}

/** A subset of the bot's scopes; all of them if none is asked for. */
function grantedScopes (bot: Bot, asked: string | undefined): string[] {
  const scopes = splitScope(asked)
  const refused = scopes.filter(scope => !bot.scopes.includes(scope))
  if (refused.length > 0) throw new OAuthError('invalid_scope', `The bot does not have ${printable(refused.join(' '))}`)
  return scopes.length === 0 ? [...bot.scopes] : bot.scopes.filter(scope => scopes.includes(scope))
}

/** A subset of the bot's audiences, in the bot's order; all of them if none is asked for. */
function grantedAudiences (bot: Bot, asked: readonly string[]): string[] {
  const refused = asked.filter(audience => !bot.audiences.includes(audience))
  if (refused.length > 0) throw new OAuthError('invalid_target', `The bot may not ask for ${printable(refused.join(' '))}`)
  return asked.length === 0 ? [...bot.audiences] : bot.audiences.filter(audience => asked.includes(audience))
}
