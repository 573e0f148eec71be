/**
 * The Fastify plugin that a metadata API registers: verifies bot tokens by the issuer's JWKS and Cognito tokens by the pool's,
 * in the API's own process, with the very checks of the service's own doors. It brings no server, no database and no file.
 */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createAdminRules } from '../verify/admins.ts'
import { bearerToken } from '../verify/bearer-token.ts'
import { botTokens } from '../verify/bot-tokens.ts'
import { cognitoTokens, issuerFormsOf } from '../verify/cognito-tokens.ts'
import { challengeFor, problemDocument, VERIFY_FAILURES, VerifyError } from '../verify/errors.ts'
import { judgeByJose } from '../verify/jose-judge.ts'
import type { Principal } from '../verify/principal.ts'
import { createRemoteKeys } from '../verify/remote-keys.ts'
import type { FindIssuer, TrustedIssuer } from '../verify/trusted-issuer.ts'
import { createVerifier, type Verifier } from '../verify/verifier.ts'
import { assertOptions, authorityOf, listOf, poolsOf, type MintmarkOptions } from './options.ts'
import { readRouteDemands, type RouteDemands } from './route-demands.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** An `onRequest` hook: verifies the bearer token, fills in `request.principal`, or answers with the failure. */
    authenticate: AuthenticationHook
    /**
     * An `onRequest` hook: does what `authenticate` does, and then demands more of whoever the token speaks for.
     * Kinds: any of those that are listed; scopes, roles, groups: all of them.
     * Throws `TypeError` where the route is defined if a demand is none that there is.
     */
    authorize: (demands: RouteDemands) => AuthenticationHook
  }
  interface FastifyRequest {
    /** Whoever the token speaks for; only after `app.authenticate` or `app.authorize`. */
    principal: Principal
  }
}

export type AuthenticationHook = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>

const clock = (): Date => new Date()
const JWKS_REFRESH_SECONDS = 300

const register: FastifyPluginAsync<MintmarkOptions> = async (app, options) => {
  assertOptions(options)
  const verifier = createVerifier({ findIssuer: issuersOf(options), clock, clockToleranceSeconds: options.clockToleranceSeconds ?? 5 })

  app.decorateRequest('principal')
  app.decorate('authenticate', hookFor(verifier, {}))
  app.decorate('authorize', demands => hookFor(verifier, readRouteDemands(demands)))
}

function hookFor (verifier: Verifier, demands: RouteDemands): AuthenticationHook {
  return async (request, reply) => {
    try {
      request.principal = await verifier.verify(bearerToken(request.raw.rawHeaders), judgeByJose, demands)
      return undefined
    } catch (error) {
      if (error instanceof VerifyError) return await refuse(request, reply, error)
      throw error
    }
  }
}

function issuersOf (options: MintmarkOptions): FindIssuer {
  const issuer = options.issuer.replace(/\/+$/, '')
  const { isAdminBot, isAdminUser } = createAdminRules({
    issuer,
    groups: options.adminGroups ?? [],
    principals: options.adminPrincipals ?? [],
    principalDomain: options.principalDomain ?? 'open-metadata.org'
  })
  const issuers = new Map<string, TrustedIssuer>()
  const botKeys = createRemoteKeys({ jwksUri: options.jwksUri ?? `${issuer}/.well-known/jwks.json`, clock, refreshAfterSeconds: JWKS_REFRESH_SECONDS })
  issuers.set(issuer, botTokens({
    async findKey (kid) {
      const key = await botKeys.find(kid)
      return key ? { found: 'key', key } : { found: 'nothing' }
    },
    audience: listOf(options.audience),
    revocations: { isStale: () => false, isBotDisabled: () => false, isTokenRevoked: () => false, isRunRevoked: () => false, notBefore: () => 0 },
    isAdmin: isAdminBot
  }))

  for (const pool of poolsOf(options)) {
    const authority = authorityOf(pool)
    const tokens = cognitoTokens({
      keys: createRemoteKeys({ jwksUri: `${authority}/.well-known/jwks.json`, clock }),
      clientIds: listOf(pool.clientId),
      tokenUse: pool.tokenUse ?? ['access', 'id'],
      principalClaims: pool.principalClaims ?? ['email', 'preferred_username', 'sub'],
      requiredDomain: options.enforcePrincipalDomain ? options.principalDomain ?? 'open-metadata.org' : null,
      isAdmin: isAdminUser,
      bots: { isBotName: async () => false, findByClient: async () => null },
      isStale: () => false
    })
    for (const form of issuerFormsOf(authority)) issuers.set(form, tokens)
  }
  return iss => issuers.get(iss)
}

async function refuse (request: FastifyRequest, reply: FastifyReply, { code, message: detail }: VerifyError): Promise<FastifyReply> {
  const { status, title } = VERIFY_FAILURES[code]
  const challenge = challengeFor(code, detail)
  if (challenge !== null) void reply.header('www-authenticate', challenge)
  if (status === 503) void reply.header('retry-after', '1')
  return await reply.code(status).header('x-request-id', request.id).type('application/problem+json').serializer(JSON.stringify)
    .send(problemDocument({ code, status, title, detail, requestId: request.id }))
}

export const mintmark = fp(register, { name: 'mintmark', fastify: '5.x' })
