/** Who asks about tokens, or takes them back: a bot by client authentication, or a full admin by bearer token. */
import type { FastifyRequest } from 'fastify'
import type { Bot } from '../../bots/bot.ts'
import { bearerToken } from '../../verify/bearer-token.ts'
import { VerifyError } from '../../verify/errors.ts'
import type { SharedPrincipal } from '../../verify/principal.ts'
import type { Verifier } from '../../verify/verifier.ts'
import { assertMeantForUs, authenticate } from '../judge.ts'
import type { AuthenticateClient } from './client-authentication.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parameters } from './parameters.ts'

export type Caller = { kind: 'bot', bot: Bot } | { kind: 'admin', principal: SharedPrincipal }

export interface CallerParts {
  authenticateClient: AuthenticateClient
  verifier: Verifier
  issuer: string
}

/** Throws `OAuthError`, or `VerifyError` about the bearer token. */
export async function identifyCaller (request: FastifyRequest, parameters: Parameters, { authenticateClient, verifier, issuer }: CallerParts): Promise<Caller> {
  if (bearerToken(request.raw.rawHeaders) === '') return { kind: 'bot', bot: await authenticateClient(request, parameters) }
  if (['client_secret', 'client_assertion'].some(name => parameters.get(name) !== undefined)) throw new OAuthError('invalid_request', 'Authenticate in one way, not by bearer token and as a client')
  const principal = await authenticate(request, verifier, { audience: null })
  assertMeantForUs(principal, issuer)
  if (!principal.admin) throw new VerifyError('admin_required', 'With a bearer token this takes a full admin; a bot authenticates by its client secret or an assertion')
  return { kind: 'admin', principal }
}
