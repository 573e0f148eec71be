/**
 * The Fastify plugin that a metadata API registers: verifies bot tokens and Cognito tokens in the API's own process, with the very
 * checks of the service's own doors. Keys and revocations it fetches ahead of need. It brings no server, no database and no file.
 */
import type { FastifyBaseLogger, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { bearerToken } from '../verify/bearer-token.ts'
import { challengeFor, problemDocument, VERIFY_FAILURES, VerifyError } from '../verify/errors.ts'
import { createHttpClient } from '../verify/http-get.ts'
import { copyOf, type Principal } from '../verify/principal.ts'
import { judgeInARow, judgeSignature } from '../verify/signature.ts'
import { createVerifier, type Verifier } from '../verify/verifier.ts'
import { whenThere } from '../verify/when-there.ts'
import { createTrustedIssuers } from './issuers.ts'
import { readOptions, type MintmarkOptions } from './options.ts'
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
    /**
     * The same checks for a token that comes by another way than the `Authorization` header: from the session of a browser, say,
     * whose owner is to be sent to the sign-in, not answered 401.
     * Throws `VerifyError` with the `code` and the `statusCode` of the failure.
     */
    verifyToken: (token: string, demands?: RouteDemands) => Promise<Principal>
  }
  interface FastifyRequest {
    /** Whoever the token speaks for; only after `app.authenticate` or `app.authorize`. */
    principal: Principal
  }
}

export type AuthenticationHook = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>

const clock = (): Date => new Date()

const register: FastifyPluginAsync<MintmarkOptions> = async (app, given) => {
  const options = readOptions(given)
  const http = createHttpClient()
  const outages = noteOutages(app.log)
  const issuers = createTrustedIssuers(options, { clock, get: http.get, onFetched: outages.note })
  const verifier = createVerifier({ findIssuer: issuers.findIssuer, clock, clockToleranceSeconds: options.clockToleranceSeconds })

  app.decorateRequest('principal')
  app.decorate('authenticate', hookFor(verifier, {}))
  app.decorate('authorize', demands => hookFor(verifier, readRouteDemands(demands)))
  app.decorate('verifyToken', async (token, demands) => whenThere(verifier.verify(token, judgeSignature, demands && readRouteDemands(demands)), copyOf))

  let stop = (): void => { /* it has not started */ }
  app.addHook('onReady', async () => { stop = issuers.start() })
  app.addHook('onClose', async () => {
    outages.end()
    stop()
    http.close()
  })
}

function hookFor (verifier: Verifier, demands: RouteDemands): AuthenticationHook {
  return async (request, reply) => {
    try {
      request.principal = copyOf(await verifier.verify(bearerToken(request.raw.rawHeaders), judgeInARow, demands))
      return undefined
    } catch (error) {
      if (error instanceof VerifyError) return await refuse(request, reply, error)
      throw error
    }
  }
}

/** Says when something cannot be fetched any more, and when it can again: once, not at each try. */
function noteOutages (log: FastifyBaseLogger): { note: (url: string, error: unknown) => void, end: () => void } {
  const away = new Set<string>()
  let isOver = false
  return {
    note (url, error) {
      if (isOver) return
      if (error === undefined && away.delete(url)) log.info(`mintmark: ${url} can be fetched again`)
      if (error === undefined || away.has(url)) return
      away.add(url)
      log.warn({ err: error }, `mintmark: ${url} cannot be fetched; trying again, with what is in hand until then`)
    },
    end () { isOver = true }
  }
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
