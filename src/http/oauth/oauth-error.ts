/** Errors of the OAuth endpoints: RFC 6749 5.2, RFC 6750 3.1, RFC 8707 2, RFC 8693 2.2.2, RFC 8628 3.5. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { logOf } from '../requests.ts'
import { CannotMint, RunRevoked, TokenTooLarge } from '../../tokens/mint.ts'
import { challengeFor, VerifyError } from '../../verify/errors.ts'
import { problemOf, type IsUnavailable } from '../problems.ts'

export const OAUTH_ERRORS = {
  invalid_request: 400,
  invalid_client: 401,
  invalid_token: 401,
  invalid_grant: 400,
  unauthorized_client: 400,
  unsupported_grant_type: 400,
  invalid_scope: 400,
  invalid_target: 400,
  insufficient_scope: 403,
  slow_down: 429,
  temporarily_unavailable: 503,
  server_error: 500
} as const

export type OAuthErrorCode = keyof typeof OAUTH_ERRORS

export class OAuthError extends Error {
  readonly code: OAuthErrorCode
  readonly headers: Readonly<Record<string, string>>

  constructor (code: OAuthErrorCode, description: string, options: { headers?: Record<string, string>, cause?: unknown } = {}) {
    super(description, { cause: options.cause })
    this.name = 'OAuthError'
    this.code = code
    this.headers = { ...HEADERS[code], ...options.headers }
  }
}

const HEADERS: Partial<Record<OAuthErrorCode, Record<string, string>>> = {
  invalid_client: { 'www-authenticate': 'Basic realm="mintmark"' },
  temporarily_unavailable: { 'retry-after': '1' }
}

export const OAuthErrorSchema = Type.Object({
  error: Type.Enum(Object.keys(OAUTH_ERRORS)),
  error_description: Type.String()
})

/** @returns what `error` is to the client; what is inside stays inside */
export function toOAuthError (error: unknown, isUnavailable: IsUnavailable): OAuthError {
  if (error instanceof OAuthError) return error
  if (error instanceof CannotMint) return new OAuthError('temporarily_unavailable', 'No token can be made now: try again shortly', { cause: error })
  if (error instanceof TokenTooLarge) return new OAuthError('invalid_request', 'The token would be too large for any verifier: ask for fewer scopes or audiences')
  if (error instanceof RunRevoked) return new OAuthError('invalid_grant', 'The tokens of this run (mintmark_run) were revoked, and it gets no more: a new run takes another name')
  if (error instanceof VerifyError) return ofBearer(error)
  const problem = problemOf(error, isUnavailable)
  switch (problem.code) {
    case 'unavailable': return new OAuthError('temporarily_unavailable', problem.message, { cause: error })
    case 'internal_error': return new OAuthError('server_error', problem.message, { cause: error })
    case 'unsupported_media_type': return new OAuthError('invalid_request', 'Send application/x-www-form-urlencoded', { cause: error })
    default: return new OAuthError('invalid_request', problem.message, { cause: error })
  }
}

/** A bearer token that an admin showed in place of client authentication was refused. */
function ofBearer (error: VerifyError): OAuthError {
  const challenge = challengeFor(error.code, error.message)
  const code = error.code === 'request_invalid' ? 'invalid_request' : error.code === 'keys_unavailable' || error.code === 'state_stale' ? 'temporarily_unavailable' : error.code === 'admin_required' ? 'insufficient_scope' : 'invalid_token'
  return new OAuthError(code, error.message, { cause: error, ...(challenge !== null && { headers: { 'www-authenticate': challenge } }) })
}

export async function sendOAuthError (request: FastifyRequest, reply: FastifyReply, error: OAuthError): Promise<FastifyReply> {
  const status = OAUTH_ERRORS[error.code]
  if (status >= 500) logOf(request).error({ err: error.cause ?? error }, error.message)
  else logOf(request).info({ error: error.code }, `refused: ${error.message}`)
  return await reply.code(status).headers({ ...error.headers, 'cache-control': 'no-store' }).serializer(JSON.stringify).type('application/json; charset=utf-8')
    .send({ error: error.code, error_description: printable(error.message) })
}

/** RFC 6749 5.2: an error_description is printable ASCII without quotes and backslashes. */
export function printable (text: string): string {
  return text.slice(0, 300).replaceAll('"', '\'').replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '?')
}
