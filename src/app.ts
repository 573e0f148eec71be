/**
 * The composition root: builds every part from the settings, and registers every route. Knows all, is known by none.
 */
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { BotRegistry, SecretRegistry } from './bots/bot-registry.ts'
import type { Config } from './config.ts'
import { adminBotRoutes } from './http/admin-bots.ts'
import { guardAdmin } from './http/admin-guard.ts'
import { adminKeyRoutes } from './http/admin-keys.ts'
import { registerJwt } from './http/judge.ts'
import { healthRoutes } from './http/health.ts'
import { answerNotFound } from './http/not-found.ts'
import { oauthRoutes } from './http/oauth.ts'
import { problemOf, PROBLEMS, sendProblem } from './http/problems.ts'
import { compileSchemas, followRequests, requestIdOf } from './http/requests.ts'
import { verifyRoutes } from './http/verify.ts'
import { wellKnownRoutes } from './http/well-known.ts'
import { createJwks } from './keys/jwks.ts'
import { createKeyRing, type KeyRing } from './keys/key-ring.ts'
import { createLocalVault, MasterKeyError } from './keys/local-vault.ts'
import { masterKeysFromFile } from './keys/master-key.ts'
import type { RotationPolicy } from './keys/rotation-plan.ts'
import { createRotator, type Rotator } from './keys/rotator.ts'
import { addSeconds, pendingKeysAt, type Clock } from './keys/signing-key.ts'
import { SETTINGS } from './settings.ts'
import { createBotRegistry, createSecretRegistry } from './store/bot-table.ts'
import { watchChanges, type ChangeWatch } from './store/change-watch.ts'
import { databaseExists, openDatabase, StoreUnavailable } from './store/database.ts'
import { createKeyStore } from './store/key-table.ts'
import type { Log } from './telemetry/log.ts'
import { createMint, type Mint } from './tokens/mint.ts'
import { createRevocations } from './tokens/revocations.ts'
import { createAdminRules } from './verify/admins.ts'
import { botTokens } from './verify/bot-tokens.ts'
import { cognitoTokens, issuerFormsOf } from './verify/cognito-tokens.ts'
import { createRemoteKeys } from './verify/remote-keys.ts'
import type { FindIssuer, TrustedIssuer } from './verify/trusted-issuer.ts'
import { createVerifier, type Verifier } from './verify/verifier.ts'

/** Everything that the service and the command line work with, over one database. */
export interface Parts {
  config: Config
  policy: RotationPolicy
  clock: Clock
  ring: KeyRing
  rotator: Rotator
  bots: BotRegistry
  secrets: SecretRegistry
  mint: Mint
  verifier: Verifier
  changes: ChangeWatch
  close: () => Promise<void>
}

/**
 * Opens the database, and brings the ring to where it can sign.
 * Throws `MasterKeyError` or `StoreUnavailable`, each with a sentence for the operator.
 */
export async function openParts (config: Config, log: Log, clock: Clock = () => new Date()): Promise<Parts> {
  const masterKeys = readMasterKeys(config)
  const database = await openDatabase(config.databaseUrl)
  const store = createKeyStore(database)
  const bots = createBotRegistry(database)
  const vault = createLocalVault(masterKeys, config.keySize)
  const ring = createKeyRing(store, clock)
  const revocations = createRevocations(bots.disabled)
  const policy: RotationPolicy = config
  const rotator = createRotator({ ring, store, vault, policy, clock })
  const changes = watchChanges({ version: database.version, refresh: [ring.refresh, revocations.refresh], clock })
  await changes.catchUp()
  vault.assertOpens(ring.all())
  await rotator.settle()

  return {
    config,
    policy,
    clock,
    ring,
    rotator,
    bots,
    secrets: createSecretRegistry(database),
    mint: createMint({ ring, rotator, vault, policy: config, clock }),
    verifier: createVerifier({
      findIssuer: issuersOf({ config, ring, bots, clock, log, isBotDisabled: revocations.isBotDisabled }),
      clock,
      clockToleranceSeconds: config.clockToleranceSeconds
    }),
    changes,
    close: database.close
  }
}

function readMasterKeys ({ masterKey, databaseUrl }: Config): readonly [Buffer, ...Buffer[]] {
  const keys = 'keys' in masterKey
    ? masterKey.keys
    : masterKeysFromFile(masterKey.file, databaseExists(databaseUrl), SETTINGS.MINTMARK_MASTER_KEY.parse)
  const [first, ...others] = keys
  if (!first) throw new MasterKeyError('MINTMARK_MASTER_KEY holds no key')
  return [first, ...others]
}

/** Ours, and each configured user pool under each form of its name. */
function issuersOf (parts: Pick<Parts, 'config' | 'ring' | 'bots' | 'clock'> & { log: Log, isBotDisabled: (name: string) => boolean }): FindIssuer {
  const { config, ring, bots, clock, log } = parts
  const { isAdminBot, isAdminUser } = createAdminRules({ ...config, groups: config.adminGroups, principals: config.adminPrincipals })
  const pools = new Map<string, TrustedIssuer>()
  for (const { authority, jwksUri } of config.cognito?.pools ?? []) {
    const keys = createRemoteKeys({
      jwksUri,
      clock,
      onFetched: ({ error }) => { if (error) log.warn({ jwksUri, err: error }, 'the user pool\'s keys could not be fetched') }
    })
    const pool = cognitoTokens({
      keys,
      clientIds: config.cognito?.clientIds ?? [],
      tokenUse: config.tokenUse,
      principalClaims: config.principalClaims,
      requiredDomain: config.enforcePrincipalDomain ? config.principalDomain : null,
      isAdmin: isAdminUser,
      isBotName: async name => await bots.find(name) !== null
    })
    for (const issuer of issuerFormsOf(authority)) pools.set(issuer, pool)
  }

  const ownTokens = (issuer: string): TrustedIssuer => botTokens({
    findKey: kid => ring.find(issuer, kid),
    audience: config.audience,
    isBotDisabled: parts.isBotDisabled,
    isAdmin: isAdminBot
  })
  return iss => pools.get(iss) ?? (iss === config.issuer || ring.knowsIssuer(iss) ? ownTokens(iss) : undefined)
}

/** Builds the server over `parts`. Listens nowhere yet. */
export async function buildApp (parts: Parts, log: FastifyBaseLogger): Promise<FastifyInstance> {
  const { config, policy, ring, rotator, bots, secrets, mint, verifier, clock, changes } = parts
  const isUnavailable = (error: unknown): boolean => error instanceof StoreUnavailable
  const answer = async (error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const problem = problemOf(error, isUnavailable)
    if (PROBLEMS[problem.code].status >= 500) request.log.error({ err: error }, problem.message)
    return await sendProblem(request, reply, problem)
  }
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: requestIdOf,
    bodyLimit: 64 * 1024,
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => { void answer(error, request, reply) }
  })

  app.setErrorHandler(answer)
  app.setNotFoundHandler(answerNotFound)
  compileSchemas(app)
  followRequests(app)
  await registerJwt(app)

  await app.register(wellKnownRoutes, {
    issuer: config.issuer,
    publicUrl: config.publicUrl,
    jwksMaxAgeSeconds: config.jwksMaxAgeSeconds,
    jwks: createJwks(ring, clock)
  })
  await app.register(oauthRoutes, { bots, secrets, mint, clock, isUnavailable })
  await app.register(verifyRoutes, { verifier })
  await app.register(healthRoutes, { notReady: () => reasonsNotReady(parts) })
  await app.register(async admin => {
    guardAdmin(admin, verifier, config.issuer)
    await admin.register(adminKeyRoutes, { ring, rotator, policy, clock })
    await admin.register(adminBotRoutes, { bots, secrets, policy: config, clock, afterChange: changes.catchUp })
  }, { prefix: '/admin' })
  return app
}

function reasonsNotReady ({ ring, clock, changes, config }: Parts): string[] {
  const now = clock()
  const next = pendingKeysAt(ring.all(), now)[0]
  return [
    ...(ring.signing() ? [] : ['no key signs']),
    ...(next ? [] : ['rotation is overdue: no key is pending']),
    ...(addSeconds(changes.lastSeenAt(), config.maxStalenessSeconds) < now ? ['the database has been away for longer than MINTMARK_MAX_STALENESS'] : [])
  ]
}
