/**
 * Tokens by which platforms vouch for their workloads (Kubernetes, GitHub Actions, AWS, SPIFFE, any OIDC): whether an issuer
 * that the settings trust has signed one, and whether its time is now. Whose bot it may become the trust rules say.
 */
import { faultOfTimes, openSigned, peekUnverified, type Claims, type Opened } from '../bots/signed-jwt.ts'
import { keysByDiscovery } from './discovered-keys.ts'
import type { Fetch } from './discovery.ts'
import { keysInFile } from './jwks-file.ts'
import { KeysUnavailable, type WorkloadKeys } from './workload-keys.ts'

const WORKLOAD_ALGORITHMS: readonly string[] = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'Ed25519']

export type JudgedWorkload =
  | { is: 'good', issuer: string, claims: Claims }
  /** Its issuer signed it, so that it may be said what else is wrong. */
  | { is: 'wrong', issuer: string, claims: Claims, why: string }
  /** No JWT that could ever be good. */
  | { is: 'unreadable' }
  | { is: 'of an unknown issuer', unverifiedIssuer: unknown }
  | { is: 'not authentic', issuer: string, why: string }
  | { is: 'not to be judged now', issuer: string, cause: unknown }

export type JudgeWorkload = (token: string) => Promise<JudgedWorkload>

export interface WorkloadIssuer {
  readonly issuer: string
  /** Its keys, where it cannot be reached; `null`: by discovery. */
  readonly jwksFile: string | null
}

export interface WorkloadParts {
  clock: () => Date
  clockToleranceSeconds: number
  fetch?: Fetch
  /** Told of each attempt to have an issuer's keys. */
  onRead?: (issuer: WorkloadIssuer, error?: unknown) => void
}

export function createWorkloadJudge (issuers: readonly WorkloadIssuer[], parts: WorkloadParts): JudgeWorkload {
  const keysByIssuer = new Map(issuers.map(each => [each.issuer, workloadKeys(each, parts)]))
  return async token => {
    const peeked = peekUnverified(token, WORKLOAD_ALGORITHMS)
    if (!peeked) return { is: 'unreadable' }
    const { iss } = peeked.claims
    const keys = typeof iss === 'string' ? keysByIssuer.get(iss) : undefined
    if (typeof iss !== 'string' || !keys) return { is: 'of an unknown issuer', unverifiedIssuer: iss }
    try {
      return judge(iss, await open(token, keys), parts)
    } catch (error) {
      if (error instanceof KeysUnavailable) return { is: 'not to be judged now', issuer: iss, cause: error.cause }
      throw error
    }
  }
}

export function workloadKeys (issuer: WorkloadIssuer, { clock, fetch, onRead = () => {} }: Omit<WorkloadParts, 'clockToleranceSeconds'>): WorkloadKeys {
  const report = (error?: unknown): void => { onRead(issuer, error) }
  return issuer.jwksFile === null
    ? keysByDiscovery(issuer.issuer, { clock, fetch, onRead: report })
    : keysInFile(issuer.issuer, issuer.jwksFile, report)
}

/** A key that is not known yet may be new. */
async function open (token: string, keys: WorkloadKeys): Promise<Opened> {
  const opened = await openSigned(token, await keys.read(), WORKLOAD_ALGORITHMS)
  return opened.is === 'of an unknown key' ? await openSigned(token, await keys.readAgain(), WORKLOAD_ALGORITHMS) : opened
}

function judge (issuer: string, opened: Opened, { clock, clockToleranceSeconds }: WorkloadParts): JudgedWorkload {
  switch (opened.is) {
    case 'of an unknown key': return { is: 'not authentic', issuer, why: 'the issuer publishes no key that fits its header' }
    case 'forged': return { is: 'not authentic', issuer, why: 'its signature does not match the issuer\'s key' }
    case 'authentic, of an unnamed key':
    case 'authentic': {
      const { claims } = opened
      const why = faultOfTimes(claims, clock(), clockToleranceSeconds)
      return why === null ? { is: 'good', issuer, claims } : { is: 'wrong', issuer, claims, why }
    }
  }
}
