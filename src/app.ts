/** Builds the server over the parts: registers every route, and gives each what it works with. Listens nowhere yet. */
import { createServer, type ServerOptions } from 'node:http'
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { adminAuditRoutes } from './http/admin/audit.ts'
import { adminBotRoutes } from './http/admin/bots.ts'
import { adminCredentialRoutes } from './http/admin/credentials.ts'
import { guardAdmin } from './http/admin/guard.ts'
import { adminKeyRoutes } from './http/admin/keys.ts'
import { adminSecretRoutes } from './http/admin/secrets.ts'
import { adminTokenRoutes } from './http/admin/tokens.ts'
import { allMethodsButConnect, authRoutes, createAuthAnswer, rewriteAuthUrl, type AnswerAuth } from './http/auth.ts'
import { createAuthLane } from './http/auth-lane.ts'
import { answerClientError } from './http/client-errors.ts'
import { createConnections } from './http/connections.ts'
import { documentRoutes } from './http/documentation.ts'
import { healthRoutes } from './http/health.ts'
import { registerJwt } from './http/judge.ts'
import { metricsRoutes } from './http/metrics.ts'
import { answerNotFound } from './http/not-found.ts'
import { oauthRoutes } from './http/oauth/routes.ts'
import { problemOf, PROBLEMS, sendProblem } from './http/problems.ts'
import { compileSchemas, followRequests, logOf, requestIdOf } from './http/requests.ts'
import { verifyRoutes } from './http/verify.ts'
import { wellKnownRoutes } from './http/well-known.ts'
import { isTrustedIssuer } from './issuers.ts'
import { createJwks } from './keys/jwks.ts'
import { reasonsNotReady, type Parts } from './parts.ts'
import { isUnavailable } from './store/database.ts'
import { createRefusedCalls } from './telemetry/refused-calls.ts'
import { version } from './version.ts'

const LARGEST_BODY_BYTES = 64 * 1024
const LARGEST_HEADERS_BYTES = 64 * 1024
const MOST_CONNECTIONS = 10_000
const HTTP: ServerOptions = {
  maxHeaderSize: LARGEST_HEADERS_BYTES,
  requestTimeout: 30_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 72_000,
  connectionsCheckingInterval: 5_000,
  requireHostHeader: false
}

export async function buildApp (parts: Parts, log: FastifyBaseLogger): Promise<FastifyInstance> {
  const { config, ring, clock, metrics } = parts
  const answerAuth = createAuthAnswer(parts.verifier, log)
  const app = createApp(parts, log, answerAuth)
  app.removeContentTypeParser('text/plain')
  compileSchemas(app)
  followRequests(app, metrics)
  await documentRoutes(app, version)
  await registerJwt(app)

  await app.register(wellKnownRoutes, { issuer: config.issuer, publicUrl: config.publicUrl, jwksMaxAgeSeconds: config.jwksMaxAgeSeconds, jwks: createJwks(ring, clock), revocationFeed: parts.revocationFeed })
  await app.register(oauthRoutes, { ...parts, issuer: config.issuer, publicUrl: config.publicUrl, clockToleranceSeconds: config.clockToleranceSeconds, failedLoginsPerMinute: config.failedLoginsPerMinute, isUnavailable })
  await app.register(verifyRoutes, { verifier: parts.verifier, issuer: config.issuer })
  await app.register(authRoutes, { answer: answerAuth })
  await app.register(healthRoutes, { notReady: () => reasonsNotReady(parts) })
  await app.register(metricsRoutes, { metrics })
  await registerAdmin(app, parts)
  return app
}

function createApp ({ config, metrics }: Parts, log: FastifyBaseLogger, answerAuth: AnswerAuth): FastifyInstance {
  const answer = async (error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const problem = problemOf(error, isUnavailable)
    if (PROBLEMS[problem.code].status >= 500) logOf(request).error({ err: error }, problem.message)
    return await sendProblem(request, reply, problem)
  }
  let isOpen = !['debug', 'trace'].includes(log.level)
  const connections = createConnections()
  const passAuth = createAuthLane({ answer: answerAuth, metrics, connections, isOpen: () => isOpen })
  const app = Fastify({
    serverFactory (route) {
      const server = createServer(HTTP, (request, response) => {
        if (passAuth(request, response)) return
        connections.await(request, response)
        route(request, response)
      })
      connections.of(server)
      return server
    },
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: logger => logger,
    genReqId: requestIdOf,
    trustProxy: config.trustProxy === null ? false : [...config.trustProxy],
    bodyLimit: LARGEST_BODY_BYTES,
    routerOptions: { maxParamLength: 1_000 },
    clientErrorHandler: answerClientError,
    return503OnClosing: false,
    rewriteUrl: request => rewriteAuthUrl(request.url ?? '/'),
    frameworkErrors: (error, request, reply) => { void answer(error, request, reply) }
  })
  app.server.maxConnections = MOST_CONNECTIONS
  app.server.maxHeadersCount = 0 // their size is what is limited
  // What a client expects is the original request's business.
  app.server.on('checkExpectation', (request, response) => { app.server.emit('request', request, response) })
  app.addHook('preClose', async () => {
    isOpen = false
    connections.close()
  })
  for (const method of allMethodsButConnect()) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: true })
  app.setErrorHandler(answer)
  app.setNotFoundHandler(answerNotFound)
  return app
}

async function registerAdmin (app: FastifyInstance, parts: Parts): Promise<void> {
  const { config, verifier } = parts
  const refusedCalls = createRefusedCalls({
    audit: parts.audit,
    clock: parts.clock,
    onFailure: error => { app.log.error({ err: error }, 'a refused call could not be written to the audit trail') }
  })
  app.addHook('onClose', refusedCalls.close)
  await app.register(async admin => {
    guardAdmin(admin, { verifier, issuer: config.issuer, refusedCalls })
    const options = { ...parts, policy: config, isTrustedIssuer: isTrustedIssuer(config) }
    await admin.register(adminKeyRoutes, parts)
    await admin.register(adminBotRoutes, options)
    await admin.register(adminSecretRoutes, options)
    await admin.register(adminCredentialRoutes, options)
    await admin.register(adminTokenRoutes, options)
    await admin.register(adminAuditRoutes, { audit: parts.audit })
  }, { prefix: '/admin' })
}
