/** `POST /oauth/revoke` (RFC 7009). A bot takes back its own tokens, a full admin any. */
import { Type } from 'typebox'
import type { FastifyInstance } from 'fastify'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Actor } from '../../telemetry/audit.ts'
import type { TokenRegistry } from '../../tokens/token-registry.ts'
import { judgeSignature } from '../../verify/signature.ts'
import { identifyCaller, type Caller, type CallerParts } from './caller.ts'
import { OAuthError } from './oauth-error.ts'
import { readParameters, required, type Form } from './parameters.ts'

export interface RevokeParts extends CallerParts {
  tokens: TokenRegistry
  /** Asked to catch up after the change, so that it is in force here before it is answered. */
  changes: { catchUp: () => Promise<void> }
  metrics: Metrics
}

export function addRevokeRoute (app: FastifyInstance, parts: RevokeParts): void {
  app.post<{ Body: Form }>('/oauth/revoke', {
    config: {
      form: Type.Object({ token: Type.String(), token_type_hint: Type.Optional(Type.String()) })
    },
    schema: {
      tags: ['oauth'],
      summary: 'Take a token back (RFC 7009)',
      description: 'Form parameter: `token`. 200 also for a token that was never issued here, or is over already.',
      consumes: ['application/x-www-form-urlencoded'],
      response: { 200: { type: 'null', description: 'The token is no longer good' } }
    }
  }, async (request, reply) => {
    const parameters = readParameters(request.body)
    const caller = await identifyCaller(request, parameters, parts)
    const token = required(parameters, 'token', 'the token to take back')
    const payload = await parts.verifier.identify(token, judgeSignature)
    if (payload) {
      assertMayRevoke(caller, payload.sub)
      const event = { actor: actorOf(caller), requestId: request.id, action: 'token.revoked', target: String(payload.sub), detail: { tokenId: payload.jti } }
      await parts.tokens.revokeToken(String(payload.jti), Number(payload.exp), event)
      await parts.changes.catchUp()
      parts.metrics.revoked('token')
    }
    return await reply.code(200).send()
  })
}

function assertMayRevoke (caller: Caller, subject: unknown): void {
  if (caller.kind === 'bot' && caller.bot.name !== subject) throw new OAuthError('unauthorized_client', 'The token was issued to another bot')
}

function actorOf (caller: Caller): Actor {
  return caller.kind === 'bot' ? { kind: 'bot', name: caller.bot.name } : { kind: caller.principal.kind, name: caller.principal.name }
}
