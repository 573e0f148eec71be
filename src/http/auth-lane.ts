/**
 * `GET /auth` comes with every request that an API behind a proxy gets, and is answered before it is routed: Fastify's way
 * through hooks and reply costs as much again as all that is to be done (docs/decisions/0030-what-verifying-costs.md).
 * Whatever is not quite plain goes that way, to the same answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Metrics } from '../telemetry/metrics.ts'
import { AUTH_PATH, rewriteAuthUrl, type AnswerAuth } from './auth.ts'
import type { Connections } from './connections.ts'
import { requestIdOf } from './requests.ts'

/** @returns false if the request is to be routed */
export type AuthLane = (request: IncomingMessage, response: ServerResponse) => boolean

export interface AuthLaneParts {
  answer: AnswerAuth
  metrics: Pick<Metrics, 'answered'>
  connections: Pick<Connections, 'await'>
  /** False once the server closes: then answers have to say so. */
  isOpen: () => boolean
}

export function createAuthLane ({ answer, metrics, connections, isOpen }: AuthLaneParts): AuthLane {
  return (request, response) => {
    const { method, url = '' } = request
    if (method !== 'GET' || !isPlain(url) || !isOpen()) return false
    const startedAt = performance.now()
    const note = (): void => { metrics.answered(AUTH_PATH, method, response.statusCode, (performance.now() - startedAt) / 1000) }
    request.url = rewriteAuthUrl(url)
    const underWay = answer(request, response, requestIdOf(request))
    if (underWay) {
      connections.await(request, response)
      void underWay.then(note)
    } else note()
    return true
  }
}

function isPlain (url: string): boolean {
  return url.startsWith(AUTH_PATH) && (url.length === AUTH_PATH.length || url[AUTH_PATH.length] === '/' || url[AUTH_PATH.length] === '?')
}
