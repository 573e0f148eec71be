/**
 * The one guard of every `/admin` route. It is a hook of the scope that the routes are registered in, and a route that
 * does not say which right it needs fails the start: a route without a guard cannot exist.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { By } from '../../telemetry/audit.ts'
import type { RefusedCalls } from '../../telemetry/refused-calls.ts'
import { VerifyError } from '../../verify/errors.ts'
import type { SharedPrincipal } from '../../verify/principal.ts'
import type { Verifier } from '../../verify/verifier.ts'
import { assertMeantForUs, authenticate } from '../judge.ts'
import type { ProblemCode } from '../problems.ts'

/** `full`: a full admin only. The others are scopes that a bot's token may have. */
export type AdminRight = 'keys:read' | 'keys:write' | 'bots:read' | 'bots:write' | 'audit:read' | 'full'

export const ADMIN_SCOPES: readonly string[] = ['admin', 'keys:read', 'keys:write', 'bots:read', 'bots:write', 'audit:read']

declare module 'fastify' {
  interface FastifyContextConfig {
    needs?: AdminRight
    /** What the route does, in the audit trail's words. */
    action?: string
    /** How it can fail beyond what all such routes can, for the documentation. */
    fails?: ProblemCode[]
  }
  interface FastifyRequest {
    /** Who asks, on `/admin` routes; `null` until the token is verified. */
    admin: SharedPrincipal | null
  }
}

export interface GuardParts {
  verifier: Verifier
  issuer: string
  refusedCalls: RefusedCalls
}

/** Guards all routes that are registered on `app` hereafter, and has each refusal written down. */
export function guardAdmin (app: FastifyInstance, { verifier, issuer, refusedCalls }: GuardParts): void {
  app.addHook('onRoute', route => {
    if (route.config?.needs === undefined || route.config.action === undefined) throw new Error(`${route.url} does not say which right it needs, and what it does`)
  })
  app.decorateRequest('admin', null)
  app.addHook('onRequest', async request => {
    request.admin = await authenticate(request, verifier, { audience: null })
    assertMeantForUs(request.admin, issuer)
    assertRight(request.admin, request.routeOptions.config.needs ?? 'full')
  })
  app.addHook('onError', async (request, _reply, error) => {
    const refused = error as unknown
    if (request.admin && refused instanceof VerifyError) refusedCalls.note({ ...byOf(request), ...describe(request), outcome: 'refused', detail: { code: refused.code } })
  })
}

/** Who asks, for the audit trail. */
export function byOf (request: FastifyRequest): By {
  const { admin } = request
  return { actor: admin ? { kind: admin.kind, name: admin.name } : { kind: 'system', name: 'unknown' }, requestId: request.id }
}

/** Throws unless the request comes from a full admin: for acts that depend on what the request is about. */
export function assertFullAdmin (request: FastifyRequest, act: string): void {
  if (!request.admin?.admin) throw new VerifyError('scope_insufficient', `${act} takes a full admin`)
}

function assertRight ({ admin, kind, scopes }: SharedPrincipal, needs: AdminRight): void {
  if (admin) return
  const finer = kind === 'bot' ? scopes.filter(scope => ADMIN_SCOPES.includes(scope)) : []
  if (finer.length === 0) throw new VerifyError('admin_required', 'This takes an admin')
  if (!finer.includes(needs)) throw new VerifyError('scope_insufficient', needs === 'full' ? 'This takes a full admin' : `This takes scope ${needs}`)
}

function describe (request: FastifyRequest): { action: string, target: string | null } {
  const { name, kid } = request.params as { name?: string, kid?: string }
  return { action: request.routeOptions.config.action ?? 'unknown', target: name ?? kid ?? null }
}
