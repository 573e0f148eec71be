/** Ways to verify a bearer token, each as its own documentation would have it done. */
import { createPublicKey, hash, verify as verifySignature } from 'node:crypto'
import fastifyJwt from '@fastify/jwt'
import { JwtVerifier } from 'aws-jwt-verify'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { importSPKI, jwtVerify } from 'jose'

export type Claims = Record<string, unknown>
export type Verify = (request: FastifyRequest) => Claims | Promise<Claims>

interface Given { app: FastifyInstance, pem: string, issuer: string }

const AUDIENCE = 'metadata-api'

const WAYS: Record<string, (given: Given) => Verify | Promise<Verify>> = {
  /** Verifies nothing: the claims of the first token, for every request. */
  bare () {
    let claims: Claims | undefined
    return request => (claims ??= parsePart(tokenOf(request).split('.')[1]))
  },

  'by hand' ({ pem, issuer }) {
    const verify = byHand(pem)
    return request => checked(verify(tokenOf(request)), issuer)
  },

  'by hand, cached' ({ pem, issuer }) {
    const verify = byHand(pem)
    const known = new Map<string, Claims>()
    return request => {
      const token = tokenOf(request)
      const digest = hash('sha256', token, 'base64url')
      const claims = known.get(digest) ?? verify(token)
      known.set(digest, claims)
      return checked(claims, issuer)
    }
  },

  '@fastify/jwt': async ({ app, pem, issuer }) => await byFastifyJwt(app, pem, issuer, false),
  '@fastify/jwt, cached': async ({ app, pem, issuer }) => await byFastifyJwt(app, pem, issuer, 20_000),

  async jose ({ pem, issuer }) {
    const key = await importSPKI(pem, 'RS256')
    return async request => (await jwtVerify(tokenOf(request), key, { issuer, audience: AUDIENCE, algorithms: ['RS256'] })).payload
  },

  'aws-jwt-verify' ({ pem, issuer }) {
    const verifier = JwtVerifier.create({ issuer, audience: AUDIENCE, jwksUri: 'https://localhost/jwks' })
    let cached = false
    return request => {
      const token = tokenOf(request)
      if (!cached) verifier.cacheJwks({ keys: [{ ...createPublicKey(pem).export({ format: 'jwk' }), kid: String(parsePart(token.split('.')[0]).kid), alg: 'RS256', use: 'sig', kty: 'RSA' }] })
      cached = true
      return verifier.verifySync(token)
    }
  }
}

/** @param name one of `WAYS` */
export async function waysOf (given: Given, name: string): Promise<Verify> {
  const way = WAYS[name]
  if (!way) throw new Error(`there is no way ${name}, only ${Object.keys(WAYS).join(', ')}`)
  return await way(given)
}

function tokenOf (request: FastifyRequest): string {
  return request.headers.authorization?.slice('Bearer '.length) ?? ''
}

/** Split, parse, one `crypto.verify`, claims: what any server must do at least. */
function byHand (pem: string): (token: string) => Claims {
  const key = createPublicKey(pem)
  return token => {
    const [header = '', payload = '', signature = ''] = token.split('.')
    if (parsePart(header).alg !== 'RS256') throw new Error('alg')
    if (!verifySignature('sha256', Buffer.from(token.slice(0, header.length + 1 + payload.length)), key, Buffer.from(signature, 'base64url'))) throw new Error('signature')
    return parsePart(payload)
  }
}

function checked (claims: Claims, issuer: string): Claims {
  if (claims.iss !== issuer || claims.aud !== AUDIENCE || Number(claims.exp) * 1000 <= Date.now()) throw new Error('claims')
  return claims
}

async function byFastifyJwt (app: FastifyInstance, pem: string, issuer: string, cache: number | false): Promise<Verify> {
  await app.register(fastifyJwt, { secret: { public: pem }, verify: { algorithms: ['RS256'], allowedIss: issuer, allowedAud: AUDIENCE, cache } })
  return async request => await request.jwtVerify<Claims>()
}

function parsePart (part = ''): Claims {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Claims
}
