/** `GET /openapi.json` (OpenAPI 3.1) and `GET /docs`: derived from the schemas of the routes, and nothing else. */
import helmet from '@fastify/helmet'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { Type, type TSchema } from 'typebox'
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import { VERIFY_FAILURES, type VerifyCode } from '../verify/errors.ts'
import { PROBLEMS, type ProblemCode } from './problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a form takes, for the documentation: forms are read by RFC 6749's rules, not by a schema. */
    form?: TSchema
    /** What a query takes that is read by rules of its own. */
    query?: TSchema
  }
}

const VERIFY_CODES = Object.keys(VERIFY_FAILURES) as VerifyCode[]
const OF_ANY: readonly ProblemCode[] = ['internal_error']
const OF_BODIES: readonly ProblemCode[] = ['request_invalid', 'validation_failed', 'unsupported_media_type', 'payload_too_large']
const OF_ADMIN: readonly ProblemCode[] = [...VERIFY_CODES, 'validation_failed', 'unavailable']

/** Has every route that is registered on `app` hereafter documented. */
export async function documentRoutes (app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'mintmark',
        version,
        description: 'Mints and rotates RSA-signed JWTs for ingestion bots, publishes a JWKS, and verifies bot tokens and Cognito user tokens.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
      },
      tags: [
        { name: 'oauth', description: 'Fetch, ask about, and take back tokens' },
        { name: 'verify', description: 'Whom does a token speak for?' },
        { name: 'keys', description: 'What verifiers fetch' },
        { name: 'admin', description: 'Keys, bots, secrets, audit trail: for admins' },
        { name: 'health', description: 'For orchestrators and Prometheus' }
      ],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
          client: { type: 'http', scheme: 'basic', description: 'Client id and client secret of a bot' }
        }
      }
    },
    transform: ({ schema, url, route }) => ({ schema: describe(schema, url, route), url })
  })
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => await reply.type('application/json').send(app.swagger()))
  await app.register(async docs => {
    await docs.register(helmet, { strictTransportSecurity: false, contentSecurityPolicy: { directives: { defaultSrc: ['\'self\''], scriptSrc: ['\'self\''], styleSrc: ['\'self\'', '\'unsafe-inline\''], imgSrc: ['\'self\'', 'data:'], upgradeInsecureRequests: null } } })
    await docs.register(swaggerUi, { routePrefix: '/docs', uiConfig: { docExpansion: 'list', persistAuthorization: false } })
  })
}

function describe (schema: FastifySchema | undefined, url: string, { config }: RouteOptions): FastifySchema {
  const isAdmin = config?.needs !== undefined
  const isPlain = url.startsWith('/oauth/') || url === '/auth'
  const codes = isPlain ? [] : [...OF_ANY, ...(isAdmin ? OF_ADMIN : []), ...(schema?.body || schema?.querystring ? OF_BODIES : []), ...config?.fails ?? []]
  return {
    ...schema,
    ...(config?.form && { body: config.form }),
    ...(config?.query && { querystring: config.query }),
    ...(isAdmin && { tags: ['admin'], security: [{ bearer: [] }], description: [schema?.description, `Needs: ${config.needs === 'full' ? 'a full admin' : `scope ${config.needs ?? ''}, or a full admin`}.`].filter(Boolean).join(' ') }),
    ...(url.startsWith('/oauth/') && { security: [{ client: [] }] }),
    ...(['/verify', '/auth'].includes(url) && { security: [{ bearer: [] }] }),
    response: { ...failures(codes), ...schema?.response as object }
  }
}

/** @returns a response for each status that the codes have, with the codes that it can bear */
function failures (codes: readonly ProblemCode[]): Record<number, TSchema | object> {
  const byStatus = Map.groupBy(new Set(codes), code => PROBLEMS[code].status)
  return Object.fromEntries([...byStatus].map(([status, of]) => [status, {
    description: of.map(code => `\`${code}\`: ${PROBLEMS[code].title}`).join('\n\n'),
    content: { 'application/problem+json': { schema: problemSchema(of) } }
  }]))
}

function problemSchema (codes: readonly ProblemCode[]): TSchema {
  return Type.Object({
    type: Type.Enum(codes.map(code => `urn:mintmark:${code}`)),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.Enum([...codes]),
    requestId: Type.String(),
    errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() })))
  })
}
