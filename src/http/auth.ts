/**
 * `/auth` and `/auth/*`: says to a proxy in front of an API whether a request may pass, for nginx `auth_request`,
 * Traefik ForwardAuth, Envoy ext_authz, Caddy `forward_auth` and HAProxy. 200, 401 or 403, empty, and nothing else.
 */
import { METHODS } from 'node:http'
import { Type } from '@fastify/type-provider-typebox'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { challengeFor, VERIFY_FAILURES, VerifyError } from '../verify/errors.ts'
import { stringOrNull, type Principal } from '../verify/principal.ts'
import type { Demands } from '../verify/trusted-issuer.ts'
import { bearerToken } from '../verify/bearer-token.ts'
import { judgeSignature } from '../verify/signature.ts'
import type { Verifier } from '../verify/verifier.ts'

const PATH = '/auth'

/**
 * Maps every path below `/auth` to `/auth` before it is routed: it is the original request's, may not decode,
 * and its query asks nothing of us.
 */
export function rewriteAuthUrl (url: string): string {
  const path = url.replace(/^https?:\/\/[^/]*/i, '')
  return path.startsWith(`${PATH}/`) ? PATH : path
}

/** Proxies pass on whatever method the client used. */
export function allMethodsButConnect (): string[] {
  return METHODS.filter(method => method !== 'CONNECT')
}

export const authRoutes: FastifyPluginAsync<{ verifier: Verifier }> = async (app, { verifier }) => {
  app.setErrorHandler(async (error, request, reply) => {
    if (!(error instanceof VerifyError)) request.log.error({ err: error }, 'a request to /auth failed')
    return await refuse(reply, error instanceof VerifyError ? error : new VerifyError('request_invalid', 'The request could not be read'))
  })

  // Answered before the body: it is the original request's, and whatever type or length it claims to have, nobody reads it.
  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const principal = await verifier.verify(bearerToken(request.raw.rawHeaders), judgeSignature, demandsOf(request))
    return await reply.code(200).headers({ ...identityHeaders(principal), 'cache-control': 'no-store' }).send()
  }
  const route = { url: PATH, onRequest: answer, handler: async () => { throw new Error('the hook has answered') } }
  app.route({ ...route, method: allMethodsButConnect().filter(method => method !== 'GET' && method !== 'HEAD'), schema: { hide: true } })
  app.route({
    ...route,
    method: 'GET',
    config: { query: Demanded },
    schema: {
      tags: ['verify'],
      summary: 'May this request pass? For proxies',
      description: 'Any method, and any path below: a proxy may append the original path, whose query is then ignored.',
      response: {
        200: { type: 'null', description: 'It may pass; X-Auth-Request-* say who it is' },
        401: { type: 'null', description: 'No good token; WWW-Authenticate says why' },
        403: { type: 'null', description: 'The token lacks a scope or a role' }
      }
    }
  })
}

const Words = Type.Array(Type.String())
const Demanded = Type.Object({
  scope: Type.Optional(Type.Unsafe({ ...Words, description: 'All of them' })),
  role: Type.Optional(Type.Unsafe({ ...Words, description: 'All of them' })),
  audience: Type.Optional(Type.Unsafe({ ...Words, description: 'Any of them, in place of MINTMARK_AUDIENCE' }))
})

const NONE: Demands = {}

function demandsOf (request: FastifyRequest): Demands {
  if (!request.url.includes('?')) return NONE
  const query = new URLSearchParams(request.url.split('?').slice(1).join('?'))
  const [audience, scopes, roles] = ['audience', 'scope', 'role'].map(name => query.getAll(name).filter(value => value !== ''))
  return { audience: audience?.length ? audience : undefined, scopes: scopes?.flatMap(value => value.split(' ')), roles }
}

/** All of them, always, so that none that a client sent survives. */
function identityHeaders (principal: Principal): Record<string, string> {
  const { name, email, groups, claims, kind, roles, scopes, subject, issuer } = principal
  return {
    'x-auth-request-user': encode(name),
    'x-auth-request-email': encode(email ?? ''),
    'x-auth-request-groups': join(groups, ','),
    'x-auth-request-preferred-username': encode(stringOrNull(claims.preferred_username) ?? ''),
    'x-auth-request-kind': kind,
    'x-auth-request-roles': join(roles, ','),
    'x-auth-request-scopes': join(scopes, ' '),
    'x-auth-request-subject': encode(subject),
    'x-auth-request-issuer': encode(issuer)
  }
}

function join (values: readonly string[], separator: ',' | ' '): string {
  return values.map(value => encode(value, separator)).join(separator)
}

const ENCODED = /[^\x21-\x24\x26-\x7E]/

/** Percent-encodes all that is not visible ASCII, `%` itself, and the character that joins values. */
function encode (value: string, separator = ''): string {
  if (!ENCODED.test(value) && (separator !== ',' || !value.includes(','))) return value
  return value.replace(/[^\x21-\x24\x26-\x7E]/gu, percentEncode).replaceAll(separator === ',' ? ',' : '\0', percentEncode)
}

function percentEncode (character: string): string {
  return [...Buffer.from(character)].map(byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}

/** A proxy knows 401 and 403 only: not to know is a refusal. */
async function refuse (reply: FastifyReply, { code, message }: VerifyError): Promise<FastifyReply> {
  const challenge = challengeFor(code, message) ?? 'Bearer realm="mintmark"'
  return await reply.code(VERIFY_FAILURES[code].status === 403 ? 403 : 401).headers({ 'www-authenticate': challenge, 'cache-control': 'no-store' }).send()
}
