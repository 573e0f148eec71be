/** Holds up whoever guesses at secrets and keys: failed client authentications are counted for each client id from each address. */
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OAuthError } from './oauth-error.ts'

export interface FailedLogins {
  /** Counts a failure. Throws `slow_down` past the limit. */
  count: (request: FastifyRequest, clientId: string) => Promise<void>
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose credentials were wrong. */
    failedClient: string
  }
}

/** @param perMinute 0: no limit */
export async function createFailedLogins (app: FastifyInstance, perMinute: number): Promise<FailedLogins> {
  if (perMinute === 0) return { async count () { /* nobody is held up */ } }
  await app.register(rateLimit, { global: false })
  app.decorateRequest('failedClient', '')
  const countFailure = app.createRateLimit({
    max: perMinute,
    timeWindow: '1 minute',
    keyGenerator: request => `${request.ip} ${request.failedClient.slice(0, 64)}`
  })

  return {
    async count (request, clientId) {
      request.failedClient = clientId
      const counted = await countFailure(request)
      if (counted.isAllowed || !counted.isExceeded) return
      throw new OAuthError('slow_down', `Too many failed authentications: try again in ${counted.ttlInSeconds} s`, { headers: { 'retry-after': String(counted.ttlInSeconds) } })
    }
  }
}
