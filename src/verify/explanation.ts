/**
 * What became of a token, check by check, for someone at 3 a.m. who has nothing but "401" in a log.
 * The content of a token whose signature did not pass stands under `unverified` only.
 */
import type { Check } from './checks.ts'
import type { JsonObject } from './compact-token.ts'
import type { VerifyCode, VerifyError } from './errors.ts'
import type { Principal } from './principal.ts'
import type { TokenUnderTest } from './trusted-issuer.ts'

export interface CheckOutcome {
  name: string
  outcome: 'passed' | 'failed' | 'skipped'
  expected?: string
  found?: string
  advice?: string
}

export interface Explanation {
  active: boolean
  principal?: Principal
  code?: VerifyCode
  checks: CheckOutcome[]
  unverified?: { header: JsonObject, payload: JsonObject }
}

export function explain (checks: readonly Check[], token: TokenUnderTest, failure: { check: string, error: VerifyError } | null): Explanation {
  const failedAt = failure ? checks.findIndex(check => check.name === failure.check) : checks.length
  const outcomes = checks.map(({ name }, place): CheckOutcome => {
    if (place < failedAt || !failure) return { name, outcome: 'passed' }
    return place === failedAt ? { name, outcome: 'failed', found: failure.error.message } : { name, outcome: 'skipped' }
  })
  if (!failure) return { active: true, principal: token.principal, checks: outcomes }
  const signaturePassed = failedAt > checks.findIndex(check => check.name === 'signature')
  return {
    active: false,
    code: failure.error.code,
    checks: outcomes,
    ...(!signaturePassed && failedAt > checks.findIndex(check => check.name === 'form') && { unverified: { header: token.header, payload: token.payload } })
  }
}
