/** Whose tokens are trusted here, and by which rules: ours, those of user pools, and those of legacy servers. */
import { emailOf } from './bots/bot.ts'
import type { BotCache } from './bots/bot-cache.ts'
import type { Config } from './config.ts'
import type { KeyRing } from './keys/key-ring.ts'
import type { LegacyRing } from './keys/legacy-key.ts'
import type { Clock } from './keys/signing-key.ts'
import type { Log } from './telemetry/log.ts'
import type { Metrics } from './telemetry/metrics.ts'
import type { Revocations } from './tokens/revocations.ts'
import { createAdminRules } from './verify/admins.ts'
import { botTokens } from './verify/bot-tokens.ts'
import { cognitoTokens, issuerFormsOf, type MappedBots } from './verify/cognito-tokens.ts'
import { legacyTokens } from './verify/legacy-tokens.ts'
import { createRemoteKeys, type RemoteKeys } from './verify/remote-keys.ts'
import type { FindIssuer, TrustedIssuer } from './verify/trusted-issuer.ts'

export interface IssuerParts {
  config: Config
  ring: KeyRing
  legacyRing: LegacyRing
  revocations: Revocations
  botCache: BotCache
  clock: Clock
  metrics: Metrics
  log: Log
}

/** Ours, and each configured user pool under each form of its name. */
export function issuersOf (parts: IssuerParts): FindIssuer {
  const { config, ring, legacyRing, revocations } = parts
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

  const ownTokens = onceEach(issuer => botTokens({
    findKey: (kid, now) => ring.find(issuer, kid, now),
    audience: config.audience,
    revocations,
    isAdmin: rules.isAdminBot
  }))
  const own = ownTokens(config.issuer)
  const legacy = onceEach(issuer => legacyTokens({ issuer, keys: legacyRing, revocations }))
  return iss => {
    if (iss === config.issuer) return own
    if (pools.has(iss)) return pools.get(iss)
    if (ring.knowsIssuer(iss)) return ownTokens(iss)
    return legacyRing.knowsIssuer(iss) ? legacy(iss) : undefined
  }
}

/** Made when first asked for: of issuers that are known to be ours, so that there are few. */
function onceEach (make: (issuer: string) => TrustedIssuer): (issuer: string) => TrustedIssuer {
  const made = new Map<string, TrustedIssuer>()
  return issuer => {
    const known = made.get(issuer) ?? make(issuer)
    made.set(issuer, known)
    return known
  }
}

function poolKeys (authority: string, jwksUri: string, { clock, log, metrics }: IssuerParts): RemoteKeys {
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

/** Trusted workload issuers whose tokens have other rules here: since we minted under them once, or imported a key of theirs. */
export function trustedButOurs ({ trustedIssuers }: Config, ring: KeyRing, legacyRing: LegacyRing): string[] {
  return trustedIssuers.map(({ issuer }) => issuer).filter(issuer => ring.knowsIssuer(issuer) || legacyRing.knowsIssuer(issuer))
}

/** Workload issuers that token exchange may be set up for. */
export function isTrustedIssuer ({ trustedIssuers }: Pick<Config, 'trustedIssuers'>): (candidate: string) => boolean {
  return candidate => trustedIssuers.some(({ issuer }) => issuer === candidate)
}

/** Issuers whose tokens have their own rules here. */
export function isReservedIssuer (config: Config, ring: KeyRing): (candidate: string) => boolean {
  const isTrusted = isTrustedIssuer(config)
  const pools = (config.cognito?.pools ?? []).flatMap(({ authority }) => issuerFormsOf(authority))
  return candidate => candidate === config.issuer || ring.knowsIssuer(candidate) || pools.includes(candidate) || isTrusted(candidate)
}
