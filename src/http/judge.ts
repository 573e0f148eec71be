/**
 * Where requests meet the tokens of those who ask something of this service itself: takes the token from a request, has it
 * verified, and gives the principal. Few such requests come, and much hangs on each, so that libraries judge the signatures:
 * `@fastify/jwt` those of our own tokens, with the one key that the checks chose by issuer and kid, `aws-jwt-verify` those of user pools.
 */
import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { VerificationKey } from '../keys/verification-key.ts'
import { bearerToken } from '../verify/bearer-token.ts'
import { judgeByAws } from '../verify/cognito-tokens.ts'
import { VerifyError } from '../verify/errors.ts'
import type { SharedPrincipal } from '../verify/principal.ts'
import type { Demands, SignatureJudge } from '../verify/trusted-issuer.ts'
import type { Verifier } from '../verify/verifier.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What `@fastify/jwt` is to judge: set by the judge of this file, read by the callbacks of this file. */
    underJudgement: { token: string, key: VerificationKey } | null
  }
}

/** Lets `authenticate` work on requests of `app` and of its children. */
export async function registerJwt (app: FastifyInstance): Promise<void> {
  app.decorateRequest('underJudgement', null)
  await app.register(fastifyJwt, {
    secret: { public: async (request: FastifyRequest) => request.underJudgement?.key.pem ?? '' },
    verify: {
      algorithms: ['RS256'],
      extractToken: request => request.underJudgement?.token,
      ignoreExpiration: true,
      ignoreNotBefore: true
    },
    decoratorName: 'judgedPayload'
  })
}

function judgeOf (request: FastifyRequest): SignatureJudge {
  return async (token, key, kind) => {
    if (kind === 'user') return await judgeByAws(token, key, kind)
    request.underJudgement = { token, key }
    try {
      await request.jwtVerify()
      return true
    } catch {
      return false
    }
  }
}

/** Verifies the bearer token of `request`. Throws `VerifyError`. */
export async function authenticate (request: FastifyRequest, verifier: Verifier, demands: Demands = {}): Promise<SharedPrincipal> {
  return await verifier.verify(bearerToken(request.raw.rawHeaders), judgeOf(request), demands)
}

/** Throws `audience_mismatch` unless a bot's token is meant for this service itself. */
export function assertMeantForUs ({ kind, audience }: SharedPrincipal, issuer: string): void {
  if (kind === 'bot' && !audience.includes(issuer)) throw new VerifyError('audience_mismatch', `The token is not meant for ${issuer}: the bot needs it among its audiences`)
}
