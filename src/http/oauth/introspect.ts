/** `POST /oauth/introspect` (RFC 7662). A bot sees only tokens that are meant for one of its audiences; a full admin sees all. */
import { Type } from 'typebox'
import type { FastifyInstance } from 'fastify'
import { VerifyError } from '../../verify/errors.ts'
import type { SharedPrincipal } from '../../verify/principal.ts'
import { judgeSignature } from '../../verify/signature.ts'
import type { Verifier } from '../../verify/verifier.ts'
import { identifyCaller, type Caller, type CallerParts } from './caller.ts'
import { OAuthError } from './oauth-error.ts'
import { readParameters, required, type Form } from './parameters.ts'

const INTROSPECT_SCOPE = 'introspect'

const Introspection = Type.Object({
  active: Type.Boolean(),
  scope: Type.Optional(Type.String()),
  client_id: Type.Optional(Type.String()),
  username: Type.Optional(Type.String()),
  token_type: Type.Optional(Type.Literal('Bearer')),
  exp: Type.Optional(Type.Number()),
  iat: Type.Optional(Type.Number()),
  nbf: Type.Optional(Type.Number()),
  sub: Type.Optional(Type.String()),
  aud: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])),
  iss: Type.Optional(Type.String()),
  jti: Type.Optional(Type.String()),
  pipeline: Type.Optional(Type.String()),
  run_id: Type.Optional(Type.String())
})

export function addIntrospectRoute (app: FastifyInstance, parts: CallerParts): void {
  app.post<{ Body: Form }>('/oauth/introspect', {
    config: {
      form: Type.Object({ token: Type.String() })
    },
    schema: {
      tags: ['oauth'],
      summary: 'Ask about a token (RFC 7662)',
      description: 'Form parameter: `token`. The caller is a bot with scope `introspect`, or a full admin by bearer token.',
      consumes: ['application/x-www-form-urlencoded'],
      response: { 200: Introspection }
    }
  }, async request => {
    const parameters = readParameters(request.body)
    const caller = await identifyCaller(request, parameters, parts)
    assertMayIntrospect(caller)
    const token = required(parameters, 'token', 'the token to ask about')
    const principal = await verifyOrNull(token, parts.verifier)
    return principal && maySee(caller, principal) ? { active: true, ...describe(principal) } : { active: false }
  })
}

function assertMayIntrospect (caller: Caller): void {
  if (caller.kind === 'admin' || caller.bot.scopes.includes(INTROSPECT_SCOPE)) return
  throw new OAuthError('insufficient_scope', `The bot lacks scope ${INTROSPECT_SCOPE}`, {
    headers: { 'www-authenticate': `Bearer realm="mintmark", error="insufficient_scope", scope="${INTROSPECT_SCOPE}"` }
  })
}

/** A token that is refused is not active, whatever the reason; but not to know is no answer. */
async function verifyOrNull (token: string, verifier: Verifier): Promise<SharedPrincipal | null> {
  try {
    return await verifier.verify(token, judgeSignature, { audience: null })
  } catch (error) {
    if (error instanceof VerifyError && error.code !== 'keys_unavailable' && error.code !== 'state_stale') return null
    throw error
  }
}

function maySee (caller: Caller, { audience }: SharedPrincipal): boolean {
  return caller.kind === 'admin' || audience.some(one => caller.bot.audiences.includes(one))
}

function describe ({ claims, name, scopes, clientId, subject, issuer, pipeline, runId }: SharedPrincipal): Record<string, unknown> {
  const { aud, exp, iat, nbf, jti } = claims
  return {
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    client_id: clientId ?? undefined,
    username: name,
    token_type: 'Bearer',
    exp,
    iat,
    nbf,
    sub: subject,
    aud,
    iss: issuer,
    jti,
    ...(pipeline !== null && { pipeline }),
    ...(runId !== null && { run_id: runId })
  }
}
