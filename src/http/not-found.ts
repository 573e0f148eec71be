/** What is not there: 404, or 405 with `Allow` (RFC 9110 15.5.6) where the path is known, but not with this method. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Problem, sendProblem } from './problems.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

export async function answerNotFound (this: FastifyInstance, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  // Its type says never null, its code says otherwise.
  const knows = (method: string): boolean => (this.findRoute({ method, url: request.url }) as unknown) !== null
  const allowed = METHODS.filter(knows)
  if (allowed.length === 0) return await sendProblem(request, reply, new Problem('not_found', 'There is nothing at this path'))
  void reply.header('allow', allowed.join(', '))
  return await sendProblem(request, reply, new Problem('method_not_allowed', `This path takes ${allowed.join(', ')}`))
}
