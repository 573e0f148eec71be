/** Trust rules: whose workload tokens may be exchanged for a token of the bot (RFC 8693). */
import type { TrustRule } from './bot.ts'

/** @returns what is wrong with a rule, by field; empty if nothing is */
export function faultsOfTrustRule (rule: TrustRule, isTrustedIssuer: (issuer: string) => boolean): ReadonlyArray<{ field: keyof TrustRule, message: string }> {
  const subject = faultOfSubject(rule.subject)
  return [
    ...(isTrustedIssuer(rule.issuer) ? [] : [{ field: 'issuer' as const, message: 'is not one of MINTMARK_TRUSTED_ISSUERS' }]),
    ...(subject === null ? [] : [{ field: 'subject' as const, message: subject }])
  ]
}

/** `*` may stand once, at the end, after a prefix that says whose subjects they are. */
function faultOfSubject (subject: string): string | null {
  const star = subject.indexOf('*')
  if (star === -1) return null
  if (star !== subject.length - 1) return 'takes one * at most, at its end'
  return /[:/]/.test(subject.slice(0, star)) ? null : 'takes a prefix with a : or / before the *: else strangers would match'
}
