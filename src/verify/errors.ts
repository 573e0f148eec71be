/** Why a token was refused: a closed list. Each code has one row, which says how every door answers it. */

export interface Row {
  status: number
  title: string
  /** `error` of the `WWW-Authenticate` challenge (RFC 6750 3.1); `null`: none. */
  challenge: 'invalid_request' | 'invalid_token' | 'insufficient_scope' | null
}

const refused = (title: string): Row => ({ status: 401, title, challenge: 'invalid_token' })
const forbidden = (title: string): Row => ({ status: 403, title, challenge: 'insufficient_scope' })
const unavailable = (title: string): Row => ({ status: 503, title, challenge: null })

export const VERIFY_FAILURES = {
  token_missing: { status: 401, title: 'No token came with the request', challenge: null },
  request_invalid: { status: 400, title: 'The request is not one that can be answered', challenge: 'invalid_request' },
  token_too_large: refused('The token is too large'),
  token_malformed: refused('The token is not a compact JWS of JSON objects'),
  algorithm_not_allowed: refused('The token is not signed with RS256'),
  issuer_unknown: refused('The token\'s issuer is not trusted here'),
  key_unknown: refused('The token\'s issuer has no such key'),
  key_revoked: refused('The token\'s key was revoked'),
  signature_invalid: refused('The token\'s signature does not match'),
  type_not_allowed: refused('The token is of another type'),
  token_expired: refused('The token has expired'),
  token_not_yet_valid: refused('The token is not valid yet'),
  audience_mismatch: refused('The token is meant for another audience'),
  client_mismatch: refused('The token was issued to another app client'),
  token_use_mismatch: refused('This kind of token is not accepted'),
  claim_missing: refused('The token lacks a claim, or has it in another form'),
  token_revoked: refused('The token was revoked'),
  bot_disabled: refused('The bot is switched off'),
  machine_token_not_mapped: refused('No bot is mapped to this machine client'),
  name_collision: refused('A bot has the name of this user'),
  domain_not_allowed: refused('The user is not of the principal domain'),
  scope_insufficient: forbidden('The token lacks a scope'),
  role_insufficient: forbidden('The token lacks a role'),
  admin_required: forbidden('Only an admin may do this'),
  keys_unavailable: unavailable('The issuer\'s keys cannot be fetched now'),
  state_stale: unavailable('Revocations have not been heard of for too long')
} as const satisfies Record<string, Row>

export type VerifyCode = keyof typeof VERIFY_FAILURES

/** A token was refused. `message` says why in a sentence that never repeats the token. */
export class VerifyError extends Error {
  readonly code: VerifyCode

  constructor (code: VerifyCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'VerifyError'
    this.code = code
  }

  /** What Fastify answers where nobody catches it. */
  get statusCode (): number {
    return VERIFY_FAILURES[this.code].status
  }
}

/** @param form what the claim has to be */
export function missingClaim (claim: string, form: string): VerifyError {
  return new VerifyError('claim_missing', `The token lacks the claim ${claim}, ${form}`)
}

/** A failure as a document: `application/problem+json` (RFC 9457). */
export function problemDocument (problem: { code: string, status: number, title: string, detail: string, requestId: string }): Record<string, unknown> {
  const { code, status, title, detail, requestId } = problem
  return { type: `urn:mintmark:${code}`, title, status, detail, code, requestId }
}

/** The `WWW-Authenticate` value for a failure (RFC 6750 3), or `null` where there is none to give. */
export function challengeFor (code: VerifyCode, detail: string): string | null {
  const { status, challenge } = VERIFY_FAILURES[code]
  if (status === 503) return null
  if (challenge === null) return 'Bearer realm="mintmark"'
  return `Bearer realm="mintmark", error="${challenge}", error_description="${quotable(detail)}"`
}

/** RFC 6750 3: %x20-21 / %x23-5B / %x5D-7E. */
function quotable (text: string): string {
  return text.replaceAll('"', '\'').replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '?')
}
