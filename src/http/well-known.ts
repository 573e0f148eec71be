/** What verifiers and clients fetch once in a while: the JWKS, the revocation feed, and the server's metadata. */
import { Type, type Static } from 'typebox'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { ASSERTION_ALGORITHMS } from '../bots/assertion.ts'
import { JWKS_PATH, OM_JWKS_PATH, type RenderedJwks } from '../keys/jwks.ts'
import { FEED_PATH } from '../tokens/claims.ts'
import { NoFeed, type RenderedFeed } from '../tokens/revocation-feed.ts'
import { Problem } from './problems.ts'

export interface WellKnownParts {
  issuer: string
  publicUrl: string
  jwks: () => RenderedJwks
  jwksMaxAgeSeconds: number
  /** Throws `NoFeed`. */
  revocationFeed: () => Promise<RenderedFeed>
}

const Jwks = Type.Object({
  keys: Type.Array(Type.Object({ kty: Type.String(), use: Type.String(), alg: Type.String(), kid: Type.String(), n: Type.String(), e: Type.String() }, { additionalProperties: false }))
})

const Words = Type.Array(Type.String())
const Metadata = Type.Object({
  issuer: Type.String(),
  token_endpoint: Type.String(),
  introspection_endpoint: Type.String(),
  revocation_endpoint: Type.String(),
  jwks_uri: Type.String(),
  grant_types_supported: Words,
  response_types_supported: Words,
  token_endpoint_auth_methods_supported: Words,
  introspection_endpoint_auth_methods_supported: Words,
  revocation_endpoint_auth_methods_supported: Words,
  token_endpoint_auth_signing_alg_values_supported: Words,
  introspection_endpoint_auth_signing_alg_values_supported: Words,
  revocation_endpoint_auth_signing_alg_values_supported: Words,
  subject_types_supported: Words,
  id_token_signing_alg_values_supported: Words
}, { additionalProperties: false })

const AUTHENTICATION_METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']

const FEED_CACHING = 'public, max-age=10'

export const wellKnownRoutes: FastifyPluginAsync<WellKnownParts> = async (app, parts) => {
  const { jwks, jwksMaxAgeSeconds: maxAge, revocationFeed } = parts
  const caching = `public, max-age=${maxAge}, stale-while-revalidate=${maxAge}, stale-if-error=3600`
  const metadata = Buffer.from(JSON.stringify(metadataOf(parts)))

  async function sendJwks (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { body, etag } = jwks()
    void reply.headers({ 'cache-control': caching, vary: 'Accept', etag })
    if (matches(request.headers['if-none-match'], etag)) return await reply.code(304).send()
    return await reply.type(wantsPlainJson(request.headers.accept) ? 'application/json' : 'application/jwk-set+json').send(body)
  }

  const jwksResponse = { 200: { description: 'Pending, signing and retired keys, the signing one first', content: { 'application/jwk-set+json': { schema: Jwks }, 'application/json': { schema: Jwks } } }, 304: { type: 'null', description: 'Nothing has changed' } }
  app.get(JWKS_PATH, { schema: { tags: ['keys'], summary: 'Public keys of bot tokens (RFC 7517)', response: jwksResponse } }, sendJwks)
  app.get(OM_JWKS_PATH, { schema: { tags: ['keys'], summary: 'The same, at OpenMetadata\'s address', response: jwksResponse } }, sendJwks)

  app.get(FEED_PATH, {
    config: { fails: ['unavailable'] },
    schema: {
      tags: ['keys'],
      summary: 'What has been taken back: a signed JWT of typ revocations+jwt',
      description: 'For verifiers that decide in their own process. Not to be relied on after its `exp`; one with a lower `version` than the one held is ignored.',
      response: { 200: { description: 'With `iss`, `iat`, `exp`, `version`, `keys`, `bots`, `disabled`, `runs`, `tokens`, `legacy`', content: { 'application/jwt': { schema: Type.String() } } }, 304: { type: 'null', description: 'Nothing has changed' } }
    }
  }, async (request, reply) => {
    const { body, etag } = await revocationFeed().catch(asProblem)
    void reply.headers({ 'cache-control': FEED_CACHING, etag })
    if (matches(request.headers['if-none-match'], etag)) return await reply.code(304).send()
    return await reply.type('application/jwt').send(body)
  })

  for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']) {
    app.get(path, { schema: { tags: ['keys'], summary: 'Server metadata (RFC 8414)', response: { 200: Metadata } } }, async (_request, reply) =>
      await reply.type('application/json').header('cache-control', `public, max-age=${maxAge}`).send(metadata))
  }
}

function metadataOf ({ issuer, publicUrl }: WellKnownParts): Static<typeof Metadata> {
  return {
    issuer,
    token_endpoint: `${publicUrl}/oauth/token`,
    introspection_endpoint: `${publicUrl}/oauth/introspect`,
    revocation_endpoint: `${publicUrl}/oauth/revoke`,
    jwks_uri: `${publicUrl}${JWKS_PATH}`,
    grant_types_supported: ['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'],
    response_types_supported: [],
    token_endpoint_auth_methods_supported: AUTHENTICATION_METHODS,
    introspection_endpoint_auth_methods_supported: AUTHENTICATION_METHODS,
    revocation_endpoint_auth_methods_supported: AUTHENTICATION_METHODS,
    token_endpoint_auth_signing_alg_values_supported: [...ASSERTION_ALGORITHMS],
    introspection_endpoint_auth_signing_alg_values_supported: [...ASSERTION_ALGORITHMS],
    revocation_endpoint_auth_signing_alg_values_supported: [...ASSERTION_ALGORITHMS],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256']
  }
}

function asProblem (error: unknown): never {
  if (error instanceof NoFeed) throw new Problem('unavailable', 'No key signs now, so that there is no feed yet: GET /health/ready says why', { cause: error })
  throw error
}

/** RFC 9110 13.1.2: weak comparison. */
function matches (ifNoneMatch: string | undefined, etag: string): boolean {
  return ifNoneMatch?.split(',').some(candidate => ['*', etag, `W/${etag}`].includes(candidate.trim())) ?? false
}

function wantsPlainJson (accept: string | undefined): boolean {
  const types = accept?.split(',').map(type => type.split(';')[0]?.trim().toLowerCase()) ?? []
  return types.includes('application/json') && !types.some(type => type === 'application/jwk-set+json' || type === '*/*' || type === 'application/*')
}
