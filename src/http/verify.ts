/** `POST /verify`: open to all, never throttled. */
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { VerifyError } from '../verify/errors.ts'
import type { Verifier } from '../verify/verifier.ts'
import { bearerToken } from '../verify/bearer-token.ts'
import { judgeOf } from './judge.ts'
import { PrincipalSchema } from './schemas.ts'

const Words = Type.Array(Type.String({ minLength: 1 }))

const VerifyRequest = Type.Object({
  token: Type.Optional(Type.String({ description: 'The token, unless it comes in the Authorization header' })),
  audience: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Words], { description: 'Any of which will do, in place of MINTMARK_AUDIENCE; for bots' })),
  scopes: Type.Optional(Words),
  roles: Type.Optional(Words)
}, { additionalProperties: false })

const Verified = Type.Object({ active: Type.Literal(true), principal: PrincipalSchema })

export const verifyRoutes: FastifyPluginAsyncTypebox<{ verifier: Verifier }> = async (app, { verifier }) => {
  app.post('/verify', {
    schema: { summary: 'Verify a bot token or a user token', body: VerifyRequest, response: { 200: Verified } }
  }, async request => {
    const { token: inBody, audience, scopes, roles } = request.body
    const inHeader = bearerToken(request.headers.authorization)
    if (inHeader !== '' && inBody !== undefined) throw new VerifyError('request_invalid', 'Send the token in the header or in the body, not in both')
    const demands = { audience: typeof audience === 'string' ? [audience] : audience, scopes, roles }
    return { active: true as const, principal: await verifier.verify(inBody ?? inHeader, judgeOf(request), demands) }
  })
}
