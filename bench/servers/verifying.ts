/**
 * The peers: a Fastify server each that says who a bearer token speaks for, by one way of verifying it.
 * `node verifying.ts NAME PORT PEM ISSUER`: GET /auth answers nine headers, as ours does; POST /verify a principal.
 */
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import { waysOf, type Claims } from './ways.ts'

const [name = '', port = '', pemFile = '', issuer = ''] = process.argv.slice(2)
const app = Fastify()
const verify = await waysOf({ app, pem: readFileSync(pemFile, 'utf8'), issuer }, name)

function headersOf (claims: Claims): Record<string, string> {
  return {
    'x-auth-request-user': String(claims.sub),
    'x-auth-request-email': String(claims.email),
    'x-auth-request-groups': '',
    'x-auth-request-preferred-username': String(claims.preferred_username),
    'x-auth-request-kind': 'bot',
    'x-auth-request-roles': (claims.roles as string[]).join(','),
    'x-auth-request-scopes': String(claims.scope),
    'x-auth-request-subject': String(claims.sub),
    'x-auth-request-issuer': encodeURI(String(claims.iss))
  }
}

app.get('/auth', async (request, reply) => {
  const claims = await verify(request)
  return await reply.headers(headersOf(claims)).send()
})

/** Of the size of what ours answers. */
app.post('/verify', async request => {
  const { exp, iat, ...claims } = await verify(request)
  const { sub, email, iss, aud, roles, scope, jti } = claims
  const principal = { kind: 'bot', name: sub, email, issuer: iss, subject: sub, clientId: sub, audience: [aud], roles, groups: [], scopes: String(scope).split(' '), admin: false, legacy: false, tokenUse: 'access', tokenId: jti, pipeline: null, runId: null, issuedAt: '2026-11-22T10:00:00.000Z', expiresAt: '2026-11-23T10:00:00.000Z', claims: { ...claims, iat, exp } }
  return { active: true, principal }
})
app.get('/', async () => 'ready')
await app.listen({ host: '127.0.0.1', port: Number(port) })
