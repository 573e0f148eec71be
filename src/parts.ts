/** Builds every part from the settings: what the service and the command line work with, over one database. */
import { emailOf } from './bots/bot.ts'
import type { BotReader, BotWriter, SecretRegistry } from './bots/bot-registry.ts'
import { createBotCache, type BotCache } from './bots/bot-cache.ts'
import { createSecretUsage, type SecretUsage } from './bots/secret-usage.ts'
import type { Config } from './config.ts'
import { createKeyRing, type KeyRing } from './keys/key-ring.ts'
import { createLocalVault, MasterKeyError } from './keys/local-vault.ts'
import { masterKeysFromFile } from './keys/master-key.ts'
import type { RotationPolicy } from './keys/rotation-plan.ts'
import { createRotator, type Rotator } from './keys/rotator.ts'
import { addSeconds, pendingKeysAt, KEY_STATES, stateAt, type Clock } from './keys/signing-key.ts'
import { SETTINGS } from './settings.ts'
import { createAuditTrail } from './store/audit-table.ts'
import { createBotReader, createBotWriter, createSecretRegistry } from './store/bot-table.ts'
import { watchChanges, type ChangeWatch } from './store/change-watch.ts'
import { databaseExists, openDatabase } from './store/database.ts'
import { createKeyStore } from './store/key-table.ts'
import { createRevocationStore, createTokenRegistry } from './store/revocation-table.ts'
import type { AuditTrail } from './telemetry/audit.ts'
import type { Log } from './telemetry/log.ts'
import { createMetrics, type Gauges, type Metrics } from './telemetry/metrics.ts'
import { createMint, type Mint } from './tokens/mint.ts'
import { createRevocations, type Revocations } from './tokens/revocations.ts'
import type { TokenRegistry } from './tokens/token-registry.ts'
import { createAdminRules } from './verify/admins.ts'
import { botTokens } from './verify/bot-tokens.ts'
import { cognitoTokens, issuerFormsOf, type MappedBots } from './verify/cognito-tokens.ts'
import { countVerifications } from './verify/counted.ts'
import { createRemoteKeys } from './verify/remote-keys.ts'
import type { FindIssuer, TrustedIssuer } from './verify/trusted-issuer.ts'
import { createVerifier, type Verifier } from './verify/verifier.ts'

export interface Parts {
  config: Config
  policy: RotationPolicy
  clock: Clock
  ring: KeyRing
  rotator: Rotator
  bots: BotReader & BotWriter
  botCache: BotCache
  secrets: SecretRegistry
  secretUsage: SecretUsage
  tokens: TokenRegistry
  mint: Mint
  verifier: Verifier
  audit: AuditTrail
  metrics: Metrics
  changes: ChangeWatch
  revocationCounts: Revocations['counts']
  close: () => Promise<void>
}

/**
 * Opens the database, and brings the ring to where it can sign.
 * Throws `MasterKeyError` or `StoreUnavailable`, each with a sentence for the operator.
 */
export async function openParts (config: Config, log: Log, clock: Clock = () => new Date()): Promise<Parts> {
  const masterKeys = readMasterKeys(config)
  const gauges: { read?: Gauges } = {}
  const metrics = createMetrics(lateGauges(gauges))
  const database = await openDatabase(config.databaseUrl, metrics.databaseAnswered)
  const store = createKeyStore(database)
  const vault = createLocalVault(masterKeys, config.keySize)
  const bots = { ...createBotReader(database), ...createBotWriter(database) }
  const secrets = createSecretRegistry(database)
  const botCache = createBotCache(bots, secrets)
  const policy: RotationPolicy = config

  const ring = createKeyRing(store, clock)
  const isStale = (): boolean => addSeconds(changes.lastSeenAt(), config.maxStalenessSeconds) < clock()
  const revocations = createRevocations(createRevocationStore(database), clock, isStale)
  const changes = watchChanges({ version: database.version, refresh: [ring.refresh, revocations.refresh, async () => { botCache.clear() }], clock })
  const rotator = createRotator({ ring, store, vault, policy, clock, reload: changes.catchUp })
  gauges.read = createGauges({ ring, revocations, changes, clock })

  try {
    await changes.catchUp()
    vault.assertOpens(ring.all())
    await rotator.settle()
  } catch (error) {
    await database.close()
    throw error
  }

  const findIssuer = issuersOf({ config, ring, botCache, revocations, clock, log, metrics })
  return {
    config,
    policy,
    clock,
    ring,
    rotator,
    bots,
    botCache,
    secrets,
    secretUsage: createSecretUsage(secrets, clock),
    tokens: createTokenRegistry(database, clock),
    mint: createMint({ ring, rotator, vault, revocations, policy: config, clock }),
    verifier: countVerifications(createVerifier({ findIssuer, clock, clockToleranceSeconds: config.clockToleranceSeconds }), metrics.verified),
    audit: createAuditTrail(database),
    metrics,
    changes,
    revocationCounts: revocations.counts,
    close: database.close
  }
}

/** Why the service cannot do its work now; empty if it can. */
export function reasonsNotReady ({ ring, clock, changes, config }: Parts): string[] {
  const now = clock()
  return [
    ...(ring.signing() ? [] : ['no key signs']),
    ...(pendingKeysAt(ring.all(), now).length > 0 ? [] : ['rotation is overdue: no key is pending']),
    ...(addSeconds(changes.lastSeenAt(), config.maxStalenessSeconds) < now ? ['the database has been away for longer than MINTMARK_MAX_STALENESS'] : [])
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

type IssuerParts = Pick<Parts, 'config' | 'ring' | 'botCache' | 'clock' | 'metrics'> & { log: Log, revocations: Revocations }

/** Ours, and each configured user pool under each form of its name. */
function issuersOf (parts: IssuerParts): FindIssuer {
  const { config, ring, revocations } = parts
  const rules = createAdminRules({ ...config, groups: config.adminGroups, principals: config.adminPrincipals })
  const pools = new Map<string, TrustedIssuer>()
  for (const { authority, jwksUri } of config.cognito?.pools ?? []) {
    const pool = cognitoTokens({
      keys: poolKeys(authority, jwksUri, parts),
      clientIds: config.cognito?.clientIds ?? [],
      tokenUse: config.tokenUse,
      principalClaims: config.principalClaims,
      requiredDomain: config.enforcePrincipalDomain ? config.principalDomain : null,
      isAdmin: rules.isAdminUser,
      bots: mappedBots(parts),
      isStale: revocations.isStale
    })
    for (const issuer of issuerFormsOf(authority)) pools.set(issuer, pool)
  }

  const ownTokens = (issuer: string): TrustedIssuer => botTokens({
    findKey: kid => ring.find(issuer, kid),
    audience: config.audience,
    revocations,
    isAdmin: rules.isAdminBot
  })
  return iss => pools.get(iss) ?? (iss === config.issuer || ring.knowsIssuer(iss) ? ownTokens(iss) : undefined)
}

function poolKeys (authority: string, jwksUri: string, { clock, log, metrics }: IssuerParts) {
  return createRemoteKeys({
    jwksUri,
    clock,
    onFetched ({ error }) {
      metrics.jwksFetched(authority, error ? 'failed' : 'ok')
      if (error) log.warn({ jwksUri, err: error }, 'the user pool\'s keys could not be fetched')
    }
  })
}

function mappedBots ({ botCache, revocations, config }: IssuerParts): MappedBots {
  return {
    isBotName: async name => await botCache.find(name) !== null,
    async findByClient (clientId) {
      const bot = await botCache.findByCognitoClient(clientId)
      if (!bot) return null
      const { name, roles, scopes, enabled } = bot
      return { name, email: emailOf(bot, config.principalDomain), roles: [...roles], scopes: [...scopes], enabled, notBefore: revocations.notBefore(name) }
    }
  }
}

/** Metrics are wanted from the first look at the database, before there is a ring to measure. */
function lateGauges (late: { read?: Gauges }): Gauges {
  return {
    keysByState: () => late.read?.keysByState() ?? {},
    signingKeyAgeSeconds: () => late.read?.signingKeyAgeSeconds() ?? NaN,
    nextRotationAtSeconds: () => late.read?.nextRotationAtSeconds() ?? NaN,
    revocations: () => late.read?.revocations() ?? { tokens: 0, bots: 0, disabled: 0 },
    databaseSeenAgoSeconds: () => late.read?.databaseSeenAgoSeconds() ?? NaN
  }
}

function createGauges ({ ring, revocations, changes, clock }: { ring: KeyRing, revocations: Revocations, changes: ChangeWatch, clock: Clock }): Gauges {
  const secondsSince = (date: Date | undefined): number => date ? (clock().getTime() - date.getTime()) / 1000 : NaN
  return {
    keysByState: () => Object.fromEntries(KEY_STATES.map(state => [state, ring.all().filter(key => stateAt(key, clock()) === state).length])),
    signingKeyAgeSeconds: () => secondsSince(ring.signing()?.signsFrom),
    nextRotationAtSeconds: () => (pendingKeysAt(ring.all(), clock())[0]?.signsFrom.getTime() ?? NaN) / 1000,
    revocations: revocations.counts,
    databaseSeenAgoSeconds: () => secondsSince(changes.lastSeenAt())
  }
}
