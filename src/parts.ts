/** Builds every part from the settings: what the service and the command line work with, over one database. */
import { createAssertionLog, type AssertionLog } from './bots/assertion-log.ts'
import type { BotSteps } from './bots/bot-plan.ts'
import type { BotReader, BotWriter, SecretRegistry } from './bots/bot-registry.ts'
import { createBotCache, type BotCache } from './bots/bot-cache.ts'
import { createTrustBook, type TrustBook } from './bots/trust-book.ts'
import { createExpiringSecrets, type ExpiringSecrets } from './bots/expiring-secrets.ts'
import { createSecretUsage, type SecretUsage } from './bots/secret-usage.ts'
import { SettingsError, type Config } from './config.ts'
import type { KeyStore } from './keys/key-store.ts'
import { createKeyRing, type KeyRing } from './keys/key-ring.ts'
import { KeyRefused, readImport } from './keys/key-import.ts'
import { createKeyOffice, type KeyOffice } from './keys/key-office.ts'
import { createLegacyRing, legacyStateAt, type LegacyRing } from './keys/legacy-key.ts'
import { createLocalVault, MasterKeyError, type LocalVault } from './keys/local-vault.ts'
import { masterKeysFromFile } from './keys/master-key.ts'
import type { RotationPolicy } from './keys/rotation-plan.ts'
import { createRotator, type Rotator } from './keys/rotator.ts'
import { pendingKeysAt, KEY_STATES, stateAt, type Clock } from './keys/signing-key.ts'
import { isReservedIssuer, issuersOf, trustedButOurs } from './issuers.ts'
import { SETTINGS } from './settings.ts'
import { createAssertionStore } from './store/assertion-table.ts'
import { createAuditTrail } from './store/audit-table.ts'
import { createBotSteps } from './store/bot-step-table.ts'
import { createBotReader, createBotWriter, createSecretRegistry } from './store/bot-table.ts'
import { watchChanges, type ChangeWatch } from './store/change-watch.ts'
import { createOffsetNotice, describeOffset } from './store/clock-offset.ts'
import { databaseExists, isUnavailable, openDatabase } from './store/database.ts'
import { createCountStore } from './store/count-table.ts'
import { createKeyStore } from './store/key-table.ts'
import { createLegacyKeyStore } from './store/legacy-key-table.ts'
import { createRevocationStore, createTokenRegistry } from './store/revocation-table.ts'
import { createTrustingBots } from './store/trust-table.ts'
import { SYSTEM, type AuditTrail, type By } from './telemetry/audit.ts'
import type { Log } from './telemetry/log.ts'
import { createMetrics, type Gauges, type Metrics } from './telemetry/metrics.ts'
import { createMint, type Mint } from './tokens/mint.ts'
import { createRevocations, type Revocations } from './tokens/revocations.ts'
import { createTokenCounts, type CountStore, type TokenCounts } from './tokens/token-counts.ts'
import { createRevocationFeed, type RenderedFeed } from './tokens/revocation-feed.ts'
import type { TokenRegistry } from './tokens/token-registry.ts'
import { VerifyError } from './verify/errors.ts'
import { createVerifiedTokens, type VerifiedTokens } from './verify/verified-tokens.ts'
import { createVerifier, type Verifier, type VerifierParts } from './verify/verifier.ts'
import { createWorkloadJudge, type JudgeWorkload, type WorkloadParts } from './workloads/workload-tokens.ts'

/** Rotations are rare: a moment's wait lets calls that came together, to whichever replica, rotate once. */
const OVERLAP_MS = 250

export interface Parts {
  config: Config
  policy: RotationPolicy
  clock: Clock
  ring: KeyRing
  rotator: Rotator
  legacyRing: LegacyRing
  keyOffice: KeyOffice
  /** Takes in the key that `RSA_PUBLIC_KEY_FILE_PATH` names, unless it is known already. Throws `SettingsError`. */
  importConfiguredKey: () => Promise<void>
  /** Seals every private half anew with the first master key. @returns how many */
  reseal: (by: By, dryRun: boolean) => Promise<number>
  /** Puts new keys in the place of those that no master key opens. @returns the kids of these */
  replaceLost: (reason: string, by: By, dryRun: boolean) => Promise<readonly string[]>
  counts: CountStore
  tokenCounts: TokenCounts
  bots: BotReader & BotWriter
  botSteps: BotSteps
  botCache: BotCache
  secrets: SecretRegistry
  secretUsage: SecretUsage
  expiringSecrets: ExpiringSecrets
  assertions: AssertionLog
  trustBook: TrustBook
  judgeWorkload: JudgeWorkload
  tokens: TokenRegistry
  mint: Mint
  verifier: Verifier
  verifiedTokens: VerifiedTokens
  audit: AuditTrail
  metrics: Metrics
  changes: ChangeWatch
  /** After each change of a bot or its secrets that was made here: it is in force here before it is answered. */
  afterChange: (bot: string) => Promise<void>
  revocationCounts: Revocations['counts']
  /** For verifiers elsewhere. Throws `NoFeed`. */
  revocationFeed: () => Promise<RenderedFeed>
  close: () => Promise<void>
}

export interface OpenOptions {
  /** What time it is on this machine; a test may move it. */
  machineClock?: Clock
  overlapMs?: number
  /** `as they are`: leave the ring as it is. `may be lost`: that, and go on with private halves that the master key does not open. */
  keys?: 'must open' | 'as they are' | 'may be lost'
}

/**
 * Opens the database, and brings the ring to where it can sign, unless it is to stay as it is.
 * Throws `MasterKeyError` or `StoreUnavailable`, each with a sentence for the operator.
 */
export async function openParts (config: Config, log: Log, { machineClock = () => new Date(), overlapMs = OVERLAP_MS, keys = 'must open' }: OpenOptions = {}): Promise<Parts> {
  /** The database's clock rules: all replicas go by it. */
  const clock: Clock = () => new Date(machineClock().getTime() + changes.clockOffsetMs())
  const masterKeys = readMasterKeys(config)
  const metrics = createMetrics()
  const database = await openDatabase(config.databaseUrl, { observe: metrics.databaseAnswered, clock })
  const store = createKeyStore(database)
  const vault = createLocalVault(masterKeys, config.keySize)
  const bots = { ...createBotReader(database), ...createBotWriter(database) }
  const secrets = createSecretRegistry(database)
  const botCache = createBotCache(bots, secrets, isUnavailable)
  const trustBook = createTrustBook(createTrustingBots(database))
  const policy: RotationPolicy = config

  const ring = createKeyRing(store, clock)
  const legacyStore = createLegacyKeyStore(database)
  const legacyRing = createLegacyRing(legacyStore, clock)
  const counts = createCountStore(database)
  const tokenCounts = createTokenCounts(counts, clock)
  const isStale = (now?: Date): boolean => changes.secondsSinceSeen(now) > config.maxStalenessSeconds
  const revocations = createRevocations(createRevocationStore(database), clock, isStale)
  const changes = watchChanges({
    ...database,
    refresh: [ring.refresh, legacyRing.refresh, revocations.refresh, trustBook.refresh, async () => { botCache.expire() }],
    clock: machineClock,
    onOffset: createOffsetNotice(log, config.clockToleranceSeconds)
  })
  const afterChange = async (bot: string): Promise<void> => {
    botCache.forget(bot)
    await changes.catchUp()
  }
  const askTime = async (): Promise<Date> => {
    const { clockOffsetMs, uncertaintyMs } = await database.look(machineClock)
    return new Date(machineClock().getTime() + clockOffsetMs - uncertaintyMs)
  }
  const rotator = createRotator({ ring, store, vault, policy, clock, reload: changes.catchUp, overlap: { ms: overlapMs, askTime } })
  const keyOffice = createKeyOffice({
    rotator,
    legacyStore,
    legacyRing,
    seal: vault.seal,
    isReservedIssuer: isReservedIssuer(config, ring),
    allowDemoKeys: config.allowDemoKeys,
    clock,
    afterChange: changes.catchUp
  })
  metrics.measure(createGauges({ ring, legacyRing, revocations, changes, clock }))

  try {
    await changes.catchUp()
    if (keys !== 'may be lost') vault.assertOpens(ring.all())
    assertForeign(trustedButOurs(config, ring, legacyRing))
    if (keys === 'must open') await rotator.settle()
  } catch (error) {
    await database.close()
    throw error
  }

  const verifiedTokens = createVerifiedTokens()
  const findIssuer = issuersOf({ config, ring, legacyRing, botCache, revocations, clock, log, metrics })
  return {
    config,
    policy,
    clock,
    ring,
    rotator,
    legacyRing,
    keyOffice,
    importConfiguredKey: async () => { await importConfiguredKey(config, keyOffice, legacyRing, log) },
    reseal: createReseal(store, vault),
    replaceLost: createReplaceLost(store, vault, rotator),
    counts,
    tokenCounts,
    bots,
    botSteps: createBotSteps(database),
    botCache,
    secrets,
    secretUsage: createSecretUsage(secrets, clock),
    expiringSecrets: createExpiringSecrets(clock, metrics.expiringSecretUsed),
    assertions: createAssertionLog(createAssertionStore(database), clock),
    trustBook,
    judgeWorkload: createWorkloadJudge(config.trustedIssuers, { clock, clockToleranceSeconds: config.clockToleranceSeconds, onRead: reportKeys(metrics, log) }),
    tokens: createTokenRegistry(database, clock),
    mint: createMint({ ring, rotator, vault, revocations, policy: config, clock, onMinted: tokenCounts.issued }),
    verifier: createVerifier({ findIssuer, clock, clockToleranceSeconds: config.clockToleranceSeconds, verifiedTokens, ...countVerified(tokenCounts, metrics) }),
    verifiedTokens,
    audit: createAuditTrail(database),
    metrics,
    changes,
    afterChange,
    revocationCounts: revocations.counts,
    revocationFeed: createRevocationFeed({ ring, legacyRing, revocations, changes, vault, policy: config, clock, onFailure: error => { log.error({ err: error }, 'the revocation feed could not be signed: the one from before is served on') } }),
    close: database.close
  }
}

function assertForeign (issuers: readonly string[]): void {
  if (issuers.length > 0) throw new SettingsError(issuers.map(issuer => `MINTMARK_TRUSTED_ISSUERS takes workload issuers, not one that we minted under or have a legacy key of (${issuer})`))
}

function reportKeys (metrics: Metrics, log: Log): NonNullable<WorkloadParts['onRead']> {
  return ({ issuer, jwksFile }, error) => {
    if (jwksFile === null) metrics.jwksFetched(issuer, error === undefined ? 'ok' : 'failed')
    if (error !== undefined) log.warn({ issuer, jwksFile, err: error }, 'the keys of a workload issuer could not be read')
  }
}

/** Takes in the key that `RSA_PUBLIC_KEY_FILE_PATH` names, unless it is known already. */
async function importConfiguredKey (config: Config, keyOffice: KeyOffice, legacyRing: LegacyRing, log: Log): Promise<void> {
  const { legacyKey } = config
  if (!legacyKey) return
  const known = legacyRing.all().find(key => key.kid === legacyKey.kid)
  if (known) {
    const { publicKey } = await readImport(legacyKey, config.allowDemoKeys).catch(asSettingsError)
    if (publicKey.n !== known.publicKey.n) throw new SettingsError([`JWT_KEY_ID takes a kid that no other key has: "${legacyKey.kid}" is another key's here`])
    return
  }
  const imported = await keyOffice.import(legacyKey, SYSTEM, false).catch(asSettingsError)
  if (imported.kind === 'refused') throw new SettingsError([`JWT_ISSUER ${imported.why}`])
  if (imported.kind === 'kid taken') throw new SettingsError([`JWT_KEY_ID takes a kid that no other key has, not "${legacyKey.kid}"`])
  log.info(`legacy key ${legacyKey.kid} is imported: tokens of ${legacyKey.issuer} verify until ${imported.key.verifiesUntil.toISOString()}`)
}

function asSettingsError (error: unknown): never {
  throw error instanceof KeyRefused ? new SettingsError([`${error.field === 'publicKey' ? 'RSA_PUBLIC_KEY_FILE_PATH' : 'RSA_PRIVATE_KEY_FILE_PATH'} names a key that ${error.message}`]) : error
}

/** Who uses which key: an admin wants to know before an act on it. And how many come, by whom they speak for, and how it went. */
function countVerified (counts: TokenCounts, metrics: Metrics): Required<Pick<VerifierParts, 'onVerified' | 'onRefused'>> {
  return {
    onVerified ({ key: { kid }, issuer, principal, now }) {
      if (principal.legacy) counts.legacySeen(kid, principal.name)
      else if (issuer.kind === 'bot') counts.verified(kid, now)
      metrics.verified(principal.legacy ? 'legacy' : principal.kind, 'ok')
    },
    onRefused (error) { metrics.verified('unknown', error instanceof VerifyError ? error.code : 'unavailable') }
  }
}

function createReseal (store: KeyStore, vault: LocalVault): Parts['reseal'] {
  return async (by, dryRun) => {
    const sealed = (await store.read()).filter(key => key.sealedPrivateKey !== null).length
    if (!dryRun) await store.update(ring => ring.map(vault.reseal), () => [{ ...by, action: 'key.resealed', target: null, detail: { keys: sealed } }])
    return sealed
  }
}

function createReplaceLost (store: KeyStore, vault: LocalVault, rotator: Rotator): Parts['replaceLost'] {
  return async (reason, by, dryRun) => {
    const kids = (await store.read()).filter(key => !vault.opens(key)).map(key => key.kid)
    if (kids.length > 0 && !dryRun) await rotator.abandon(kids, reason, by)
    return kids
  }
}

/** Why the service cannot do its work now; empty if it can. */
export function reasonsNotReady ({ ring, clock, changes, config }: Parts): string[] {
  const now = clock()
  const clockFault = describeOffset(changes.clockOffsetMs(), config.clockToleranceSeconds)
  return [
    ...(ring.signing() ? [] : ['no key signs']),
    ...(pendingKeysAt(ring.all(), now).length > 0 ? [] : ['rotation is overdue: no key is pending']),
    ...(clockFault === null ? [] : [clockFault]),
    ...(changes.secondsSinceSeen() > config.maxStalenessSeconds ? ['the database has been away for longer than MINTMARK_MAX_STALENESS'] : [])
  ]
}

function readMasterKeys ({ masterKey, databaseUrl }: Config): readonly [Buffer, ...Buffer[]] {
  const keys = 'keys' in masterKey
    ? masterKey.keys
    : masterKeysFromFile(masterKey.file, databaseExists(databaseUrl), SETTINGS.MINTMARK_MASTER_KEY.parse)
  const [first, ...others] = keys
  if (!first) throw new MasterKeyError('MINTMARK_MASTER_KEY holds no key')
  return [first, ...others]
}

function createGauges ({ ring, legacyRing, revocations, changes, clock }: { ring: KeyRing, legacyRing: LegacyRing, revocations: Revocations, changes: ChangeWatch, clock: Clock }): Gauges {
  const secondsSince = (date: Date | undefined): number => date ? (clock().getTime() - date.getTime()) / 1000 : NaN
  return {
    keysByState: () => Object.fromEntries(KEY_STATES.map(state => [state, ring.all().filter(key => stateAt(key, clock()) === state).length])),
    signingKeyAgeSeconds: () => secondsSince(ring.signing()?.signsFrom),
    nextRotationAtSeconds: () => (pendingKeysAt(ring.all(), clock())[0]?.signsFrom.getTime() ?? NaN) / 1000,
    legacyKeys: () => legacyRing.all().filter(key => legacyStateAt(key, clock()) === 'retired').map(({ kid, verifiesUntil }) => ({ kid, verifiesUntilSeconds: verifiesUntil.getTime() / 1000 })),
    revocations: revocations.counts,
    databaseSeenAgoSeconds: changes.secondsSinceSeen
  }
}
