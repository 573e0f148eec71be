/**
 * Whose tokens a metadata API trusts: the issuer's, those of other servers that the issuer vouches for, and those of user pools.
 * It owns what is fetched from each, and keeps it fresh.
 */
import { JWKS_PATH, OM_JWKS_PATH } from '../keys/jwks.ts'
import type { Lookup } from '../keys/key-ring.ts'
import { FEED_PATH } from '../tokens/claims.ts'
import { createAdminRules } from '../verify/admins.ts'
import { botTokens } from '../verify/bot-tokens.ts'
import { cognitoTokens, issuerFormsOf, type MappedBots } from '../verify/cognito-tokens.ts'
import { VerifyError } from '../verify/errors.ts'
import type { Get } from '../verify/http-get.ts'
import { legacyTokens } from '../verify/legacy-tokens.ts'
import { createRemoteKeys, type RemoteKeys } from '../verify/remote-keys.ts'
import { createRemoteRevocations, type RemoteRevocations } from '../verify/remote-revocations.ts'
import type { FindIssuer, TrustedIssuer } from '../verify/trusted-issuer.ts'
import { whenThere } from '../verify/when-there.ts'
import { keepFresh, type Pace, type StartTimer } from './keep-fresh.ts'
import { listOf, poolsOf, type Options } from './options.ts'

export interface Surroundings {
  clock: () => Date
  get: Get
  /** Told of each fetch. */
  onFetched: (url: string, error: unknown) => void
  startTimer?: StartTimer
}

export interface TrustedIssuers {
  findIssuer: FindIssuer
  /** Fetches ahead of need from now on. @returns a function that ends it */
  start: () => () => void
}

const JWKS_REFRESH_SECONDS = 300
const POOL_REFRESH_SECONDS = 3_600
const LONGEST_JWKS_PAUSE_SECONDS = 60
/** After an outage a revocation must not wait for longer. */
const LONGEST_FEED_PAUSE_SECONDS = 10
const SHORTEST_FEED_PAUSE_SECONDS = 0.25
/** A feed is asked for this often at least while it may be relied on. */
const LOOKS_A_LIFE = 4

export function createTrustedIssuers (options: Options, { clock, get, onFetched, startTimer }: Surroundings): TrustedIssuers {
  const keysAt = (jwksUri: string, refreshAfterSeconds: number): RemoteKeys =>
    createRemoteKeys({ jwksUri, clock, get, refreshAfterSeconds, onFetched: ({ error }) => { onFetched(jwksUri, error) } })

  const keys = keysAt(options.jwksUri ?? options.issuer + JWKS_PATH, JWKS_REFRESH_SECONDS)
  const uri = options.revocationsUri ?? serviceOf(options) + FEED_PATH
  const revocations = createRemoteRevocations({ uri, keys, clock, get, issuer: options.issuer, clockToleranceSeconds: options.clockToleranceSeconds, onFetched: ({ error }) => { onFetched(uri, error) } })
  const rules = createAdminRules({ issuer: options.issuer, groups: options.adminGroups, principals: options.adminPrincipals, principalDomain: options.principalDomain })
  const bots = machinesOf(options, revocations)

  const poolKeys: RemoteKeys[] = []
  const issuers = new Map<string, TrustedIssuer>([[options.issuer, ownTokens(options, keys, revocations, rules.isAdminBot)]])
  for (const pool of poolsOf(options)) {
    const keysOfPool = keysAt(pool.authority + JWKS_PATH, POOL_REFRESH_SECONDS)
    poolKeys.push(keysOfPool)
    const tokens = cognitoTokens({
      keys: keysOfPool,
      clientIds: listOf(pool.clientId),
      tokenUse: pool.tokenUse ?? ['access', 'id'],
      principalClaims: pool.principalClaims ?? ['email', 'preferred_username', 'sub'],
      rolesByGroup: new Map(Object.entries(pool.groupRoles ?? {})),
      requiredDomain: options.enforcePrincipalDomain ? options.principalDomain : null,
      isAdmin: rules.isAdminUser,
      bots,
      isStale: () => false // Cognito's tokens do not depend on the feed
    })
    for (const form of issuerFormsOf(pool.authority)) issuers.set(form, tokens)
  }

  return {
    findIssuer: iss => issuers.get(iss) ?? findLegacyIssuer(iss, revocations),
    start () {
      const feedPause = (): number => Math.max(SHORTEST_FEED_PAUSE_SECONDS, Math.min(options.revocationsRefreshSeconds, revocations.lifeSeconds() / LOOKS_A_LIFE))
      const jwksPace = (seconds: number): Pace => ({ everySeconds: () => seconds, longestPauseSeconds: LONGEST_JWKS_PAUSE_SECONDS })
      const running = [
        keepFresh(revocations.refresh, { everySeconds: feedPause, longestPauseSeconds: LONGEST_FEED_PAUSE_SECONDS }, startTimer),
        keepFresh(keys.refresh, jwksPace(JWKS_REFRESH_SECONDS), startTimer),
        ...poolKeys.map(pool => keepFresh(pool.refresh, jwksPace(POOL_REFRESH_SECONDS), startTimer))
      ]
      return () => { for (const stop of running) stop() }
    }
  }
}

function ownTokens ({ audience }: Options, keys: RemoteKeys, revocations: RemoteRevocations, isAdmin: Parameters<typeof botTokens>[0]['isAdmin']): TrustedIssuer {
  async function findByAsking (kid: string, now: Date): Promise<Lookup> {
    await revocations.settle()
    const key = revocations.isKeyRevoked(kid) ? undefined : await keys.find(kid, now)
    const droppedAt = key ? null : keys.droppedAt(kid)
    if (droppedAt !== null) await revocations.hearSince(droppedAt) // to know whether it was revoked
    if (revocations.isKeyRevoked(kid)) return { found: 'revoked' }
    return key ? { found: 'key', key } : { found: 'nothing' }
  }

  return botTokens({
    findKey (kid, now) {
      if (revocations.isStale(now) || !keys.held(kid)) return findByAsking(kid, now)
      return whenThere(keys.find(kid, now), key => key && !revocations.isKeyRevoked(kid) ? { found: 'key', key } : findByAsking(kid, now))
    },
    audience: listOf(audience),
    revocations,
    isAdmin
  })
}

/** Where the service is: the feed is beside the JWKS, unless that is somewhere of its own. */
function serviceOf ({ issuer, jwksUri }: Options): string {
  const path = [JWKS_PATH, OM_JWKS_PATH].find(known => jwksUri?.endsWith(known))
  return jwksUri !== undefined && path !== undefined ? jwksUri.slice(0, -path.length) : issuer
}

/** Which they are stands in the feed. */
async function findLegacyIssuer (issuer: string, revocations: RemoteRevocations): Promise<TrustedIssuer | undefined> {
  if (!revocations.hasFeed()) await revocations.settle()
  if (!revocations.hasFeed()) throw new VerifyError('keys_unavailable', 'Whether the token\'s issuer is trusted here is not known yet: try again shortly')
  return revocations.legacyKeys.knowsIssuer(issuer) ? legacyTokens({ issuer, keys: revocations.legacyKeys, revocations }) : undefined
}

/**
 * Machine clients of user pools that stand for a bot. Where the issuer has switched off a bot of that name, or taken its tokens back,
 * that holds for them too: so they are as good as the feed is, as all bots are.
 */
function machinesOf ({ machines, principalDomain }: Options, revocations: RemoteRevocations): MappedBots {
  const byClient = new Map(Object.entries(machines))
  return {
    isBotName: () => false, // no registry of bots is here
    async findByClient (clientId) {
      const machine = byClient.get(clientId)
      if (!machine) return null
      await revocations.settle()
      if (!revocations.hasFeed()) throw new VerifyError('keys_unavailable', 'Whether the bot is switched off is not known yet: try again shortly')
      if (revocations.isStale()) throw new VerifyError('state_stale', 'Revocations have not been heard of for too long to trust any bot')
      const { name, roles = [], scopes = [] } = machine
      return { name, email: `${name}@${principalDomain}`, roles: [...roles], scopes: [...scopes], enabled: !revocations.isBotDisabled(name), notBefore: revocations.notBefore(name) }
    }
  }
}
