/** The OAuth endpoints: one scope, with forms as bodies, RFC 6749's errors, and nothing that may be cached. */
import formbody from '@fastify/formbody'
import type { FastifyPluginAsync } from 'fastify'
import type { Mint } from '../../tokens/mint.ts'
import { createTokenExchange, type ExchangeParts } from './token-exchange.ts'
import type { IsUnavailable } from '../problems.ts'
import { createClientAuthentication, type AuthenticationParts } from './client-authentication.ts'
import { createFailedLogins } from './failed-logins.ts'
import { addIntrospectRoute } from './introspect.ts'
import { OAUTH_ERRORS, OAuthErrorSchema, sendOAuthError, toOAuthError } from './oauth-error.ts'
import { addRevokeRoute, type RevokeParts } from './revoke.ts'
import { addTokenRoute } from './token.ts'

export interface OAuthParts extends ExchangeParts, Omit<AuthenticationParts, 'failedLogins' | 'assertionPolicy'>, Omit<RevokeParts, 'authenticateClient'> {
  mint: Mint
  publicUrl: string
  clockToleranceSeconds: number
  failedLoginsPerMinute: number
  isUnavailable: IsUnavailable
}

export const oauthRoutes: FastifyPluginAsync<OAuthParts> = async (app, parts) => {
  app.removeAllContentTypeParsers()
  await app.register(formbody)
  app.addHook('onRequest', async (_request, reply) => { void reply.header('cache-control', 'no-store') })
  app.addHook('onRoute', ({ schema }) => {
    const failures = Object.fromEntries(Object.values(OAUTH_ERRORS).map(status => [status, OAuthErrorSchema]))
    if (schema) schema.response = { ...failures, ...schema.response as object }
  })
  app.setErrorHandler(async (error, request, reply) => {
    const refusal = toOAuthError(error, parts.isUnavailable)
    if (request.routeOptions.url === '/oauth/token') parts.metrics.tokenRefused(refusal.code)
    return await sendOAuthError(request, reply, refusal)
  })

  const failedLogins = await createFailedLogins(app, parts.failedLoginsPerMinute)
  const authenticateClient = createClientAuthentication({ ...parts, failedLogins, assertionPolicy: { audiences: [parts.issuer, `${parts.publicUrl}/oauth/token`], clockToleranceSeconds: parts.clockToleranceSeconds } })
  addTokenRoute(app, { ...parts, authenticateClient, exchange: createTokenExchange(parts) })
  addIntrospectRoute(app, { ...parts, authenticateClient })
  addRevokeRoute(app, { ...parts, authenticateClient })
}
