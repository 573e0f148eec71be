/** `POST /oauth/token` (RFC 6749 4.4, RFC 7523, RFC 8707): a bot's credentials for a bot's token. */
import { Type } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import type { Bot } from '../../bots/bot.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { splitScope } from '../../tokens/claims.ts'
import type { Mint } from '../../tokens/mint.ts'
import type { AuthenticateClient } from './client-authentication.ts'
import { JWT_BEARER } from './credentials.ts'
import { OAuthError, printable } from './oauth-error.ts'
import { readParameters, required, type Form } from './parameters.ts'
import { assertMayWork, workAskedFor } from './work.ts'

const TokenResponse = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('Bearer'),
  expires_in: Type.Integer({ description: 'Seconds' }),
  scope: Type.Optional(Type.String())
})

export function addTokenRoute (app: FastifyInstance, { authenticateClient, mint, metrics }: { authenticateClient: AuthenticateClient, mint: Mint, metrics: Metrics }): void {
  app.post<{ Body: Form }>('/oauth/token', {
    config: {
      form: Type.Object({
        grant_type: Type.Literal('client_credentials'),
        scope: Type.Optional(Type.String({ description: 'Space-separated; all that the bot has, if left out' })),
        audience: Type.Optional(Type.String({ description: 'Repeatable; `resource` means the same' })),
        mintmark_pipeline: Type.Optional(Type.String({ description: 'What the token is for; of a bot with pipelines it has to be one of those' })),
        mintmark_run: Type.Optional(Type.String({ description: 'The run of it; revoke-tokens can end the tokens of one run' })),
        client_id: Type.Optional(Type.String({ description: 'With client_secret, in place of HTTP Basic' })),
        client_secret: Type.Optional(Type.String()),
        client_assertion_type: Type.Optional(Type.Literal(JWT_BEARER)),
        client_assertion: Type.Optional(Type.String({ description: 'A JWT that one of the bot\'s keys signed (RFC 7523), in place of a secret' }))
      })
    },
    schema: {
      tags: ['oauth'],
      summary: 'Fetch a token (RFC 6749)',
      description: 'Form parameters: `grant_type=client_credentials`, `scope`, `audience` or `resource` (repeatable), `mintmark_pipeline` and `mintmark_run` (become the claims `pipeline` and `run_id`). Authenticate by HTTP Basic, by `client_id` and `client_secret`, or by `client_assertion` (`private_key_jwt`: RS256, PS256, ES256 or EdDSA; `iss` and `sub` the client id, `aud` the issuer or this address, `exp` at most five minutes ahead, `jti` used once).',
      consumes: ['application/x-www-form-urlencoded'],
      response: { 200: TokenResponse }
    }
  }, async request => {
    const parameters = readParameters(request.body)
    assertGrantType(required(parameters, 'grant_type', 'client_credentials'))
    const first = await authenticateClient(request, parameters)
    const bot = await mint.untilIssuable(first.name) ? await authenticateClient(request, parameters, 'again') : first
    const work = workAskedFor(parameters)
    assertMayWork(bot, work)
    const minted = await mint({
      bot,
      work,
      scopes: grantedScopes(bot, parameters.get('scope')),
      audiences: grantedAudiences(bot, [...parameters.all('audience'), ...parameters.all('resource')])
    })
    metrics.tokenIssued('client_credentials')
    return {
      access_token: minted.token,
      token_type: 'Bearer' as const,
      expires_in: minted.expiresInSeconds,
      ...(minted.scopes.length > 0 && { scope: minted.scopes.join(' ') })
    }
  })
}

function assertGrantType (grantType: string): void {
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
