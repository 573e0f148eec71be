/**
 * The one guard of every `/admin` route. It is a hook of the scope that the routes are registered in, and a route that
 * does not say which right it needs fails the start: a route without a guard cannot exist.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { VerifyError } from '../verify/errors.ts'
import type { Principal } from '../verify/principal.ts'
import type { Verifier } from '../verify/verifier.ts'
import { authenticate } from './judge.ts'

/** `full`: a full admin only. The others are scopes that a bot's token may have. */
export type AdminRight = 'keys:read' | 'keys:write' | 'bots:read' | 'bots:write' | 'audit:read' | 'full'

export const ADMIN_SCOPES: readonly string[] = ['admin', 'keys:read', 'keys:write', 'bots:read', 'bots:write', 'audit:read']

declare module 'fastify' {
  interface FastifyContextConfig {
    needs?: AdminRight
  }
  interface FastifyRequest {
    /** Who asks, on `/admin` routes. */
    admin: Principal
  }
}

/** Guards all routes that are registered on `app` hereafter. */
export function guardAdmin (app: FastifyInstance, verifier: Verifier, issuer: string): void {
  app.addHook('onRoute', route => {
    if (route.config?.needs === undefined) throw new Error(`${route.url} does not say which right it needs`)
  })
  app.decorateRequest('admin')
  app.addHook('onRequest', async request => {
    request.admin = await authenticate(request, verifier, { audience: [issuer] })
    assertRight(request.admin, request.routeOptions.config.needs ?? 'full')
  })
}

/** Throws unless the request comes from a full admin: for acts that depend on what the request is about. */
export function assertFullAdmin (request: FastifyRequest, act: string): void {
  if (!request.admin.admin) throw new VerifyError('scope_insufficient', `${act} takes a full admin`)
}

function assertRight ({ admin, kind, scopes }: Principal, needs: AdminRight): void {
  if (admin) return
  const finer = kind === 'bot' ? scopes.filter(scope => ADMIN_SCOPES.includes(scope)) : []
  if (finer.length === 0) throw new VerifyError('admin_required', 'This takes an admin; nobody is one by default')
  if (!finer.includes(needs)) throw new VerifyError('scope_insufficient', needs === 'full' ? 'This takes a full admin' : `This takes scope ${needs}`)
}
