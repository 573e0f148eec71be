/** `POST /verify`: open to all, never throttled; and, for full admins, why a token is refused. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { FastifyRequest } from 'fastify'
import { VERIFY_FAILURES, VerifyError } from '../verify/errors.ts'
import { bearerToken } from '../verify/bearer-token.ts'
import { judgeInARow } from '../verify/signature.ts'
import type { Verifier } from '../verify/verifier.ts'
import { assertMeantForUs, authenticate } from './judge.ts'
import type { ProblemCode } from './problems.ts'
import { PrincipalSchema } from './schemas.ts'

const Words = Type.Array(Type.String({ minLength: 1 }))

const VerifyRequest = Type.Object({
  token: Type.Optional(Type.String({ description: 'The token, unless it comes in the Authorization header' })),
  audience: Type.Optional(Type.Unsafe<string | string[]>({ type: ['string', 'array'], items: { type: 'string', minLength: 1 }, minLength: 1, minItems: 1, description: 'Any of which will do, in place of MINTMARK_AUDIENCE; for bots' })),
  scopes: Type.Optional(Words),
  roles: Type.Optional(Words)
}, { additionalProperties: false })

const Answer = Type.Object({
  active: Type.Boolean(),
  principal: Type.Optional(PrincipalSchema),
  code: Type.Optional(Type.Enum(Object.keys(VERIFY_FAILURES), { description: 'With explain only, as are the fields below' })),
  checks: Type.Optional(Type.Array(Type.Object({
    name: Type.String(),
    outcome: Type.Enum(['passed', 'failed', 'skipped']),
    expected: Type.Optional(Type.String()),
    found: Type.Optional(Type.String()),
    advice: Type.Optional(Type.String())
  }))),
  unverified: Type.Optional(Type.Object({ header: Type.Record(Type.String(), Type.Unknown()), payload: Type.Record(Type.String(), Type.Unknown()) }))
})

export const verifyRoutes: FastifyPluginAsyncTypebox<{ verifier: Verifier, issuer: string }> = async (app, { verifier, issuer }) => {
  app.post('/verify', {
    serializerCompiler: () => data => JSON.stringify(data), // principals are whole as they are, and a compiled one is no faster
    config: { fails: Object.keys(VERIFY_FAILURES) as ProblemCode[] },
    schema: {
      tags: ['verify'],
      summary: 'Verify a bot token or a user token',
      querystring: Type.Object({ explain: Type.Optional(Type.Boolean({ description: 'Say of each check how it went: for full admins, the token under test in the body' })) }),
      body: VerifyRequest,
      response: { 200: Answer }
    }
  }, async (request, reply) => {
    void reply.header('cache-control', 'no-store')
    const { token: inBody, audience, scopes, roles } = request.body
    const demands = { audience: typeof audience === 'string' ? [audience] : audience, scopes, roles }
    if (request.query.explain) {
      await assertMayExplain(request, verifier, issuer)
      return await verifier.explain(inBody ?? '', judgeInARow, demands)
    }
    const inHeader = bearerToken(request.raw.rawHeaders)
    if (inHeader !== '' && inBody !== undefined) throw new VerifyError('request_invalid', 'Send the token in the header or in the body, not in both')
    return { active: true as const, principal: await verifier.verify(inBody ?? inHeader, judgeInARow, demands) }
  })
}

/** An explanation shows what a token says, also one that is not good: to full admins only. */
async function assertMayExplain (request: FastifyRequest, verifier: Verifier, issuer: string): Promise<void> {
  const principal = await authenticate(request, verifier, { audience: null })
  if (principal.admin) assertMeantForUs(principal, issuer)
  else throw new VerifyError('admin_required', 'An explanation takes a full admin; the token under test goes into the body')
}
