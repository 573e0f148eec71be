/** What verifiers and clients fetch once in a while: the JWKS and the server's metadata. */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { RenderedJwks } from '../keys/jwks.ts'

export interface WellKnownParts {
  issuer: string
  publicUrl: string
  jwks: () => RenderedJwks
  jwksMaxAgeSeconds: number
}

export const JWKS_PATH = '/.well-known/jwks.json'

export const wellKnownRoutes: FastifyPluginAsync<WellKnownParts> = async (app, parts) => {
  const { jwks, jwksMaxAgeSeconds: maxAge } = parts
  const caching = `public, max-age=${maxAge}, stale-while-revalidate=${maxAge}, stale-if-error=3600`
  const metadata = Buffer.from(JSON.stringify(metadataOf(parts)))

  async function sendJwks (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { body, etag } = jwks()
    void reply.headers({ 'cache-control': caching, vary: 'Accept', etag })
    if (matches(request.headers['if-none-match'], etag)) return await reply.code(304).send()
    return await reply.type(wantsPlainJson(request.headers.accept) ? 'application/json' : 'application/jwk-set+json').send(body)
  }

  app.get(JWKS_PATH, { schema: { summary: 'Public keys of bot tokens (RFC 7517)' } }, sendJwks)
  app.get('/api/v1/system/config/jwks', { schema: { summary: 'The same, at OpenMetadata\'s address' } }, sendJwks)

  for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']) {
    app.get(path, { schema: { summary: 'Server metadata (RFC 8414)' } }, async (_request, reply) =>
      await reply.type('application/json').header('cache-control', `public, max-age=${maxAge}`).send(metadata))
  }
}

function metadataOf ({ issuer, publicUrl }: WellKnownParts): Record<string, unknown> {
  return {
    issuer,
    token_endpoint: `${publicUrl}/oauth/token`,
    jwks_uri: `${publicUrl}${JWKS_PATH}`,
    grant_types_supported: ['client_credentials'],
    response_types_supported: [],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256']
  }
}

/** RFC 9110 13.1.2: weak comparison. */
function matches (ifNoneMatch: string | undefined, etag: string): boolean {
  return ifNoneMatch?.split(',').some(candidate => ['*', etag, `W/${etag}`].includes(candidate.trim())) ?? false
}

function wantsPlainJson (accept: string | undefined): boolean {
  const types = accept?.split(',').map(type => type.split(';')[0]?.trim().toLowerCase()) ?? []
  return types.includes('application/json') && !types.some(type => type === 'application/jwk-set+json' || type === '*/*' || type === 'application/*')
}
