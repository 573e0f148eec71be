/** Asks a door, and reads what it answers. */
import type { FastifyInstance, InjectOptions } from 'fastify'
import type { VerifyCode } from '../../src/verify/errors.ts'
import type { Principal } from '../../src/verify/principal.ts'

export interface ProblemBody {
  type: string
  title: string
  status: number
  detail: string
  code: string
  requestId: string
  errors?: Array<{ field: string, message: string }>
}

export interface Answer {
  status: number
  headers: Record<string, unknown>
  /** `null` unless it is a failure. */
  code: string | null
  challenge: string | null
  body: ProblemBody & { active?: boolean, principal?: Principal }
  text: string
}

export async function ask (app: FastifyInstance, request: InjectOptions): Promise<Answer> {
  const response = await app.inject(request)
  const isJson = response.body !== '' && /json/.test(response.headers['content-type'] ?? '')
  const body = (isJson ? response.json() : {}) as Answer['body']
  const challenge = response.headers['www-authenticate']
  return {
    status: response.statusCode,
    headers: response.headers,
    code: typeof body.code === 'string' ? body.code : null,
    challenge: typeof challenge === 'string' ? challenge : null,
    body,
    text: response.body
  }
}

export async function verifyInHeader (app: FastifyInstance, token: string): Promise<Answer> {
  return await ask(app, { method: 'POST', url: '/verify', headers: { authorization: `Bearer ${token}` } })
}

export async function verifyInBody (app: FastifyInstance, token: string, demands: object = {}): Promise<Answer> {
  return await ask(app, { method: 'POST', url: '/verify', payload: { token, ...demands } })
}

/** The table of contract 6.5, written down once more: the code under test must not be its own judge. */
function expectedAnswer (code: VerifyCode): { status: number, error: string | null } {
  switch (code) {
    case 'token_missing': return { status: 401, error: null }
    case 'request_invalid': return { status: 400, error: 'invalid_request' }
    case 'scope_insufficient':
    case 'role_insufficient':
    case 'admin_required': return { status: 403, error: 'insufficient_scope' }
    case 'keys_unavailable':
    case 'state_stale': return { status: 503, error: null }
    default: return { status: 401, error: 'invalid_token' }
  }
}

/** What is wrong with `answer` as a refusal with `code`; empty if nothing is. */
export function faultsOfRefusal ({ status, headers, body, challenge }: Answer, code: VerifyCode): string[] {
  const expected = expectedAnswer(code)
  const faults: string[] = []
  const check = (holds: boolean, fault: string): void => { if (!holds) faults.push(fault) }
  check(body.code === code, `code ${body.code}, not ${code}`)
  check(status === expected.status && body.status === expected.status, `status ${status}, not ${expected.status}`)
  check(body.type === `urn:mintmark:${code}`, `type ${body.type}`)
  check(String(headers['content-type']).startsWith('application/problem+json'), `content-type ${String(headers['content-type'])}`)
  check(typeof body.title === 'string' && body.title !== '' && typeof body.detail === 'string' && body.detail !== '', 'no title or detail')
  check(body.requestId === headers['x-request-id'], `requestId ${body.requestId}, x-request-id ${String(headers['x-request-id'])}`)
  if (expected.status === 503) check(challenge === null, `challenge ${challenge ?? ''}`)
  else if (expected.error === null) check(challenge === 'Bearer realm="mintmark"', `challenge ${challenge ?? 'none'}`)
  else check(new RegExp(`^Bearer realm="mintmark", error="${expected.error}", error_description="[\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E]+"$`).test(challenge ?? ''), `challenge ${challenge ?? 'none'}`)
  return faults
}
