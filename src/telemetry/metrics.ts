/** What the service counts and measures, in Prometheus' form. No label has values that a stranger could choose. */
import cluster from 'node:cluster'
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import { shareMetrics } from './cluster-metrics.ts'

/** Over several workers: each reads the same database, so that the largest tells the truth. */
const ofAll = { aggregator: 'max' } as const

export type VerifiedKind = 'bot' | 'legacy' | 'user' | 'unknown'

export interface Metrics {
  tokenIssued: (grant: 'client_credentials' | 'token_exchange' | 'admin') => void
  /** @param error of the closed list of OAuth errors */
  tokenRefused: (error: string) => void
  /** @param code of the closed list of failures, or `ok` */
  verified: (kind: VerifiedKind, code: string) => void
  expiringSecretUsed: () => void
  revoked: (what: 'key' | 'bot' | 'run' | 'token') => void
  /** @param pool user pool or workload issuer, as the settings name it */
  jwksFetched: (pool: string, outcome: 'ok' | 'failed') => void
  /** @param route as it was registered, not as it was asked for */
  answered: (route: string, method: string, status: number, seconds: number) => void
  databaseAnswered: (work: 'read' | 'write', seconds: number, failed: boolean) => void
  /** Says where the gauges are read, once there is something to read. */
  measure: (gauges: Gauges) => void
  contentType: string
  render: () => Promise<string>
}

/** Read when Prometheus asks. Seconds are since the epoch. */
export interface Gauges {
  keysByState: () => Record<string, number>
  signingKeyAgeSeconds: () => number
  nextRotationAtSeconds: () => number
  legacyKeys: () => ReadonlyArray<{ kid: string, verifiesUntilSeconds: number }>
  revocations: () => { tokens: number, bots: number, runs: number, disabled: number }
  databaseSeenAgoSeconds: () => number
}

/** Observed together, while the code that does it is warm: one by one, between other work, each would cost several times as much. */
const MOST_PENDING = 256

const LATENCY_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]

export function createMetrics (): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })

  const issued = new Counter({ registers, name: 'mintmark_tokens_issued_total', help: 'Tokens minted, by grant', labelNames: ['grant'] })
  const refused = new Counter({ registers, name: 'mintmark_token_requests_refused_total', help: 'Token requests refused, by OAuth error', labelNames: ['error'] })
  const verifications = new Counter({ registers, name: 'mintmark_verifications_total', help: 'Tokens judged, by whom they speak for and outcome', labelNames: ['kind', 'code'], collect: observePending })
  const expiringSecrets = new Counter({ registers, name: 'mintmark_expiring_secret_uses_total', help: 'Authentications by a secret that expires within a week' })
  const revoked = new Counter({ registers, name: 'mintmark_revocations_total', help: 'Keys, tokens, runs and bots\' tokens taken back by this process', labelNames: ['what'] })
  const fetches = new Counter({ registers, name: 'mintmark_jwks_fetches_total', help: 'Fetches of user pools\' and workload issuers\' keys', labelNames: ['pool', 'outcome'] })
  const requests = new Histogram({ registers, name: 'mintmark_http_request_duration_seconds', help: 'From request to answer', labelNames: ['route', 'method', 'status'], buckets: LATENCY_BUCKETS, collect: observePending })
  const database = new Histogram({ registers, name: 'mintmark_database_duration_seconds', help: 'Reads, and writes with their wait for the lock', labelNames: ['work'], buckets: LATENCY_BUCKETS })
  const failures = new Counter({ registers, name: 'mintmark_database_failures_total', help: 'Reads and writes that the database refused or did not answer', labelNames: ['work'] })
  for (const work of ['read', 'write']) failures.inc({ work }, 0)

  let answers: Array<{ route: string, method: string, status: number, seconds: number }> = []
  let verdicts: Array<{ kind: VerifiedKind, code: string }> = []

  function observePending (): void {
    for (const { route, method, status, seconds } of answers) requests.observe({ route, method, status }, seconds)
    for (const labels of verdicts) verifications.inc(labels)
    answers = []
    verdicts = []
  }

  return {
    tokenIssued: grant => { issued.inc({ grant }) },
    tokenRefused: error => { refused.inc({ error }) },
    verified (kind, code) {
      verdicts.push({ kind, code })
      if (verdicts.length >= MOST_PENDING) observePending()
    },
    expiringSecretUsed: () => { expiringSecrets.inc() },
    revoked: what => { revoked.inc({ what }) },
    jwksFetched: (pool, outcome) => { fetches.inc({ pool, outcome }) },
    answered (route, method, status, seconds) {
      answers.push({ route, method, status, seconds })
      if (answers.length >= MOST_PENDING) observePending()
    },
    databaseAnswered (work, seconds, failed) {
      database.observe({ work }, seconds)
      if (failed) failures.inc({ work })
    },
    measure: gauges => { addGauges(registers, gauges) },
    contentType: registry.contentType,
    render: cluster.isWorker ? shareMetrics(registry) : async () => await registry.metrics()
  }
}

function addGauges (registers: Registry[], gauges: Gauges): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    const made = new Gauge({ registers, name, help, ...ofAll, collect: () => { made.set(read()) } })
  }
  gauge('mintmark_signing_key_age_seconds', 'How long the signing key has signed', gauges.signingKeyAgeSeconds)
  gauge('mintmark_next_rotation_timestamp_seconds', 'When the next key is to sign', gauges.nextRotationAtSeconds)
  gauge('mintmark_database_seen_seconds_ago', 'Since the database last answered', gauges.databaseSeenAgoSeconds)

  const keys = new Gauge({
    ...ofAll,
    registers,
    name: 'mintmark_keys',
    help: 'Keys of the ring, by state',
    labelNames: ['state'],
    collect () {
      for (const [state, count] of Object.entries(gauges.keysByState())) keys.set({ state }, count)
    }
  })
  const legacy = new Gauge({
    ...ofAll,
    registers,
    name: 'mintmark_legacy_key_verifies_until_timestamp_seconds',
    help: 'When the tokens of an imported legacy key end, by its kid',
    labelNames: ['kid'],
    collect () {
      legacy.reset()
      for (const { kid, verifiesUntilSeconds } of gauges.legacyKeys()) legacy.set({ kid }, verifiesUntilSeconds)
    }
  })
  const held = new Gauge({
    ...ofAll,
    registers,
    name: 'mintmark_revocations_held',
    help: 'Revocations in memory: single tokens, runs, bots with a cutoff, bots switched off',
    labelNames: ['what'],
    collect () { for (const [what, count] of Object.entries(gauges.revocations())) held.set({ what }, count) }
  })
}
