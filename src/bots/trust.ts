/** Trust rules: whose workload tokens may be exchanged for a token of the bot (RFC 8693), and whether a token meets one. */
import type { TrustRule } from './bot.ts'
import type { Work } from './pipelines.ts'
import type { Claims } from './signed-jwt.ts'

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

/** Where a token departs from a rule: for the log, since a stranger must not learn what rules there are. */
export interface Mismatch {
  readonly claim: string
  readonly expected: string
  readonly found: unknown
}

/** @param claims of a token that the rule's issuer has signed. @returns the first thing that is wrong, `null` if the rule is met */
export function mismatchOf (rule: TrustRule, claims: Claims): Mismatch | null {
  const { audience, subject, claims: wanted = {}, pipelineClaim, runClaim } = rule
  if (!holds(claims.aud, audience)) return { claim: 'aud', expected: audience, found: claims.aud }
  if (!isSubject(claims.sub, subject)) return { claim: 'sub', expected: subject, found: claims.sub }
  for (const [claim, value] of Object.entries(wanted)) {
    const found = claimAt(claims, claim)
    if (!holds(found, value)) return { claim, expected: String(value), found }
  }
  for (const claim of [pipelineClaim, runClaim]) {
    if (claim !== undefined && nameAt(claims, claim) === undefined) return { claim, expected: 'a text that names the pipeline or the run', found: claimAt(claims, claim) }
  }
  return null
}

/** What the token is for, as far as the rule takes that from the claims. */
export function workOf ({ pipelineClaim, runClaim }: TrustRule, claims: Claims): Work {
  return {
    ...(pipelineClaim !== undefined && { pipeline: nameAt(claims, pipelineClaim) }),
    ...(runClaim !== undefined && { run: nameAt(claims, runClaim) })
  }
}

/** Exactly; with a `*`, whatever follows the prefix, and something has to. */
function isSubject (found: unknown, subject: string): boolean {
  if (typeof found !== 'string') return false
  if (!subject.endsWith('*')) return found === subject
  const prefix = subject.slice(0, -1)
  return found.startsWith(prefix) && found.length > prefix.length
}

/** A claim that is a list holds what any of its items is. */
function holds (found: unknown, wanted: string | number | boolean): boolean {
  const values: unknown[] = Array.isArray(found) ? found : [found]
  return values.some(value => textOf(value) === String(wanted))
}

/** Numbers beyond what JSON carries exactly are no text: two of them may read the same. */
function textOf (value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value) ? String(value) : undefined
}

function nameAt (claims: Claims, claim: string): string | undefined {
  const name = textOf(claimAt(claims, claim))
  return name === '' ? undefined : name
}

/** By its name; one inside another by a JSON Pointer (RFC 6901), such as `/kubernetes.io/namespace`. */
function claimAt (claims: Claims, claim: string): unknown {
  const path = claim.startsWith('/') ? claim.slice(1).split('/').map(part => part.replaceAll('~1', '/').replaceAll('~0', '~')) : [claim]
  let found: unknown = claims
  for (const part of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, part)) return undefined
    found = (found as Record<string, unknown>)[part]
  }
  return found
}
