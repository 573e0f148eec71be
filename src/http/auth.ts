/**
 * `/auth` and `/auth/*`: says to a proxy in front of an API whether a request may pass, for nginx `auth_request`,
 * Traefik ForwardAuth, Envoy ext_authz, Caddy `forward_auth` and HAProxy. 200, 401 or 403, empty, and nothing else.
 */
import { METHODS, type IncomingMessage, type ServerResponse } from 'node:http'
import { Type } from 'typebox'
import type { FastifyBaseLogger, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { challengeFor, VERIFY_FAILURES, VerifyError } from '../verify/errors.ts'
import { stringOrNull, type SharedPrincipal } from '../verify/principal.ts'
import type { Demands } from '../verify/trusted-issuer.ts'
import { bearerToken } from '../verify/bearer-token.ts'
import { judgeInARow } from '../verify/signature.ts'
import type { Verifier } from '../verify/verifier.ts'

export const AUTH_PATH = '/auth'

/**
 * Maps every path below `/auth` to `/auth` before it is routed: it is the original request's, may not decode,
 * and its query asks nothing of us.
 */
export function rewriteAuthUrl (url: string): string {
  const path = url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/]*/i, '')
  return path.startsWith(`${AUTH_PATH}/`) ? AUTH_PATH : path
}

/** Proxies pass on whatever method the client used. */
export function allMethodsButConnect (): string[] {
  return METHODS.filter(method => method !== 'CONNECT')
}

/**
 * Answers on Node's own response, in whichever way the request came here: it comes with every request that the API gets.
 * @returns a promise if something has to be waited for; never rejects
 */
export type AnswerAuth = (request: IncomingMessage, response: ServerResponse, requestId: string) => Promise<void> | undefined

export function createAuthAnswer (verifier: Verifier, log: FastifyBaseLogger): AnswerAuth {
  function refuse (response: ServerResponse, requestId: string, error: unknown): void {
    if (!(error instanceof VerifyError)) log.error({ err: error, requestId }, 'a request to /auth failed')
    const { code, message } = error instanceof VerifyError ? error : new VerifyError('request_invalid', 'The request could not be read')
    const challenge = challengeFor(code, message) ?? 'Bearer realm="mintmark"'
    // A proxy knows 401 and 403 only: not to know is a refusal.
    response.writeHead(VERIFY_FAILURES[code].status === 403 ? 403 : 401, ['www-authenticate', challenge, 'cache-control', 'no-store', 'x-request-id', requestId, 'content-length', '0']).end()
  }

  // Answered before the body: it is the original request's, and whatever type or length it claims to have, nobody reads it.
  return (request, response, requestId) => {
    const pass = (principal: SharedPrincipal): void => { response.writeHead(200, passHeaders(principal, requestId)).end() }
    try {
      const principal = verifier.verify(bearerToken(request.rawHeaders), judgeInARow, demandsOf(request.url ?? AUTH_PATH))
      if (principal instanceof Promise) return principal.then(pass, (error: unknown) => { refuse(response, requestId, error) })
      pass(principal)
    } catch (error) {
      refuse(response, requestId, error)
    }
    return undefined
  }
}

export const authRoutes: FastifyPluginAsync<{ answer: AnswerAuth }> = async (app, { answer }) => {
  const answerHere = async ({ raw, id }: FastifyRequest, reply: FastifyReply): Promise<void> => {
    reply.hijack()
    await answer(raw, reply.raw, id)
  }
  const route = { url: AUTH_PATH, onRequest: answerHere, handler: async () => { throw new Error('the hook has answered') } }
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

function demandsOf (url: string): Demands {
  const start = url.indexOf('?')
  if (start < 0) return NONE
  const query = new URLSearchParams(url.slice(start + 1))
  const [audience, scopes, roles] = ['audience', 'scope', 'role'].map(name => query.getAll(name).filter(value => value !== ''))
  return { audience: audience?.length ? audience : undefined, scopes: scopes?.flatMap(value => value.split(' ')), roles }
}

/** Those of the identity all of them, always, so that none that a client sent survives. Names and values by turns, as Node takes them. */
function passHeaders ({ name, email, groups, claims, kind, roles, scopes, subject, issuer }: SharedPrincipal, requestId: string): string[] {
  return [
    'x-auth-request-user', encode(name),
    'x-auth-request-email', encode(email ?? ''),
    'x-auth-request-groups', join(groups, ','),
    'x-auth-request-preferred-username', encode(stringOrNull(claims.preferred_username) ?? ''),
    'x-auth-request-kind', kind,
    'x-auth-request-roles', join(roles, ','),
    'x-auth-request-scopes', join(scopes, ' '),
    'x-auth-request-subject', encode(subject),
    'x-auth-request-issuer', encode(issuer),
    'cache-control', 'no-store',
    'x-request-id', requestId,
    'content-length', '0'
  ]
}

function join (values: readonly string[], separator: ',' | ' '): string {
  return values.map(value => encode(value, separator)).join(separator)
}

/** Percent-encodes all that is not visible ASCII, `%` itself, and the character that joins values. */
function encode (value: string, separator = ''): string {
  if (isPlain(value, separator)) return value
  return value.replace(/[^\x21-\x24\x26-\x7E]/gu, percentEncode).replaceAll(separator === ',' ? ',' : '\0', percentEncode)
}

/** Nearly all values are: a regular expression for each costs more than all else that is done with them. */
function isPlain (value: string, separator: string): boolean {
  for (let place = 0; place < value.length; place++) {
    const code = value.charCodeAt(place)
    if (code < 0x21 || code > 0x7E || code === 0x25) return false
  }
  return separator !== ',' || !value.includes(',')
}

function percentEncode (character: string): string {
  return [...Buffer.from(character)].map(byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}
