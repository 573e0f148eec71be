/** `POST /oauth/token` (RFC 6749 4.4, RFC 8707): a bot's credentials for a bot's token. */
import formbody from '@fastify/formbody'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Bot } from '../bots/bot.ts'
import type { BotRegistry, SecretRegistry } from '../bots/bot-registry.ts'
import type { Clock } from '../keys/signing-key.ts'
import { splitScope } from '../tokens/claims.ts'
import { CannotSign, type Mint } from '../tokens/mint.ts'
import { authenticateClient } from './client-authentication.ts'
import { OAUTH_ERRORS, OAuthError } from './oauth-error.ts'
import { problemOf, type IsUnavailable } from './problems.ts'

export interface OAuthParts {
  bots: BotRegistry
  secrets: SecretRegistry
  mint: Mint
  clock: Clock
  isUnavailable: IsUnavailable
}

const TokenResponse = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('Bearer'),
  expires_in: Type.Integer({ description: 'Seconds' }),
  scope: Type.Optional(Type.String())
})

/** May stand more than once in a request (RFC 8693 2.1, RFC 8707 2). */
const REPEATABLE = ['audience', 'resource']

type Form = Record<string, string | string[]>

export const oauthRoutes: FastifyPluginAsyncTypebox<OAuthParts> = async (app, parts) => {
  app.removeAllContentTypeParsers()
  await app.register(formbody)
  app.setErrorHandler(async (error, request, reply) => await sendOAuthError(request, reply, toOAuthError(error, parts.isUnavailable)))

  app.post<{ Body: Form }>('/oauth/token', {
    schema: { summary: 'Fetch a token (RFC 6749)', response: { 200: TokenResponse } }
  }, async (request, reply) => {
    void reply.header('cache-control', 'no-store')
    const parameters = singleParameters(request.body)
    assertGrantType(parameters.get('grant_type'))
    const bot = await authenticateClient(request, parameters, parts)
    const minted = await parts.mint({
      bot,
      scopes: grantedScopes(bot, parameters.get('scope')),
      audiences: grantedAudiences(bot, REPEATABLE.flatMap(name => valuesOf(request.body, name)))
    })
    return {
      access_token: minted.token,
      token_type: 'Bearer' as const,
      expires_in: minted.expiresInSeconds,
      ...(minted.scopes.length > 0 && { scope: minted.scopes.join(' ') })
    }
  })
}

/** A parameter without a value counts as omitted, a repeated one is refused (RFC 6749 3.2). */
function singleParameters (form: Form): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const name of Object.keys(form)) {
    const values = valuesOf(form, name)
    if (Array.isArray(form[name]) && !REPEATABLE.includes(name)) throw new OAuthError('invalid_request', `${printable(name)} stands more than once`)
    if (values[0] !== undefined) parameters.set(name, values[0])
  }
  return parameters
}

function valuesOf (form: Form, name: string): string[] {
  const value = Object.hasOwn(form, name) ? form[name] : undefined
  return (Array.isArray(value) ? value : [value ?? '']).filter(item => item !== '')
}

function assertGrantType (grantType: string | undefined): void {
  if (grantType === undefined) throw new OAuthError('invalid_request', 'grant_type is missing: client_credentials')
  if (grantType !== 'client_credentials') throw new OAuthError('unsupported_grant_type', 'grant_type takes client_credentials')
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

function toOAuthError (error: unknown, isUnavailable: IsUnavailable): OAuthError {
  if (error instanceof OAuthError) return error
  if (error instanceof CannotSign) return new OAuthError('temporarily_unavailable', 'No key can sign now: try again shortly', { cause: error })
  const problem = problemOf(error, isUnavailable)
  if (problem.code === 'unavailable') return new OAuthError('temporarily_unavailable', problem.message, { cause: error })
  if (problem.code === 'internal_error') return new OAuthError('server_error', problem.message, { cause: error })
  return new OAuthError('invalid_request', problem.code === 'unsupported_media_type' ? 'Send application/x-www-form-urlencoded' : problem.message, { cause: error })
}

async function sendOAuthError (request: FastifyRequest, reply: FastifyReply, error: OAuthError): Promise<FastifyReply> {
  const status = OAUTH_ERRORS[error.code]
  if (status >= 500) request.log.error({ err: error.cause ?? error }, error.message)
  else request.log.info({ error: error.code }, `token request refused: ${error.message}`)
  if (error.code === 'invalid_client') void reply.header('www-authenticate', 'Basic realm="mintmark"')
  if (status === 503) void reply.header('retry-after', '1')
  return await reply.code(status).header('cache-control', 'no-store').serializer(JSON.stringify).type('application/json; charset=utf-8')
    .send({ error: error.code, error_description: error.message })
}

/** RFC 6749 5.2: an error_description is printable ASCII without quotes and backslashes. */
function printable (text: string): string {
  return text.slice(0, 200).replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '?')
}
