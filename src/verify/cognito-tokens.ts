/** Tokens of an Amazon Cognito user pool, or of an issuer that speaks like one: how their claims read, whom they let in. */
import { JwtVerifier } from 'aws-jwt-verify'
import { JwtParseError } from 'aws-jwt-verify/error'
import type { JwksCache } from 'aws-jwt-verify/jwk'
import type { VerificationKey } from '../keys/verification-key.ts'
import { splitScope } from '../tokens/claims.ts'
import type { JsonObject } from './compact-token.ts'
import { missingClaim, VerifyError } from './errors.ts'
import { judgeByJose } from './jose-judge.ts'
import { isoDate, stringOrNull, stringsOf, type Principal, type SharedPrincipal } from './principal.ts'
import type { RemoteKeys } from './remote-keys.ts'
import type { SignatureJudge, TrustedIssuer } from './trusted-issuer.ts'
import { whenThere } from './when-there.ts'

export interface CognitoTokenParts {
  keys: RemoteKeys
  /** App clients whose users may come; `null`: any of the pool. */
  clientIds: readonly string[] | null
  tokenUse: ReadonlyArray<'access' | 'id'>
  /** Claims that a user's name is taken from. */
  principalClaims: readonly string[]
  /** Refuse users without a verified e-mail address of this domain; `null`: let all in. */
  requiredDomain: string | null
  /** The roles that members of a group have; none where it is left out. */
  rolesByGroup?: ReadonlyMap<string, readonly string[]>
  isAdmin: (user: CognitoUser) => boolean
  bots: MappedBots
  /** True once the store of bots has not been heard of for too long. */
  isStale: () => boolean
}

/** A bot as far as tokens of a user pool are concerned. */
export type MappedBot = Pick<Principal, 'name' | 'email' | 'roles' | 'scopes'> & { enabled: boolean, notBefore: number }

export interface MappedBots {
  /** True if a bot has this name: a user must not be taken for it. */
  isBotName: (name: string) => boolean | Promise<boolean>
  /** The bot that lists this machine client as its own. */
  findByClient: (clientId: string) => MappedBot | null | Promise<MappedBot | null>
}

export interface CognitoUser {
  subject: string
  groups: readonly string[]
  /** Only if the pool says that it is verified. */
  verifiedEmail: string | null
}

export function cognitoTokens (parts: CognitoTokenParts): TrustedIssuer {
  return {
    kind: 'user',
    types: [null, 'jwt'],
    expectedAudience: parts.clientIds?.join(' or ') ?? 'any client of the pool',
    findKey: (kid, now) => whenThere(parts.keys.find(kid, now), key => key ?? new VerifyError('key_unknown', 'The user pool publishes no usable key of this kid')),
    checkAudience: ({ payload }) => { checkClient(payload, parts.clientIds) },
    checkUse: ({ payload }) => { checkUse(payload, parts.tokenUse) },
    checkRevocation () {
      // Cognito publishes no revocations; but a bot may have been switched off, or have taken the user's name.
      if (parts.isStale()) throw new VerifyError('state_stale', 'Bots and revocations have not been heard of for too long to trust any token')
    },
    checkEnabled () { /* Cognito does not say in a token whether its user still is enabled */ },
    toPrincipal: ({ payload }) => isMachineToken(payload) ? machinePrincipal(payload) : userPrincipal(payload, parts),
    complete: (principal, { payload }) => isMachineToken(payload) ? asMappedBot(principal, payload, parts.bots) : assertNoBot(principal, parts.bots)
  }
}

/** The pool's issuers: Cognito writes `iss` in either of two forms (region or multi-region), with the same keys. */
export function issuerFormsOf (authority: string): string[] {
  const pool = /^https:\/\/(?:issuer-)?cognito-idp\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)\/([\w-]+)$/.exec(authority)
  return pool
    ? [`https://cognito-idp.${pool[1] ?? ''}.${pool[2] ?? ''}/${pool[3] ?? ''}`, `https://issuer-cognito-idp.${pool[1] ?? ''}.${pool[2] ?? ''}/${pool[3] ?? ''}`]
    : [authority]
}

/**
 * `aws-jwt-verify`, told to judge form, key and signature alone: it knows no clock but the machine's.
 * Before the signature it refuses claims of another form, which are our own checks' business: these tokens `jose` judges.
 */
export const judgeByAws: SignatureJudge = async (token, key, kind) => {
  try {
    verifierFor(key).verifySync(token)
    return true
  } catch (error) {
    return error instanceof JwtParseError && await judgeByJose(token, key, kind)
  }
}

const verifiers = new WeakMap<VerificationKey, { verifySync: (token: string) => unknown }>()

function verifierFor (key: VerificationKey): { verifySync: (token: string) => unknown } {
  let verifier = verifiers.get(key)
  if (!verifier) {
    const config = { issuer: null, audience: null, graceSeconds: Infinity, jwksUri: 'urn:mintmark:chosen-key' }
    verifiers.set(key, verifier = JwtVerifier.create(config, { jwksCache: cacheOfOne(key) }))
  }
  return verifier
}

/** The key was chosen by issuer and kid before the judge is asked: it gets that key and no other. */
function cacheOfOne ({ jwk }: VerificationKey): JwksCache {
  const key = { ...jwk }
  return {
    getJwk: async () => key,
    getCachedJwk: () => key,
    getJwks: async () => ({ keys: [key] }),
    addJwks () { /* there is nothing to add */ }
  }
}

function checkClient (payload: JsonObject, clientIds: readonly string[] | null): void {
  const clientId = clientIdOf(payload)
  if (clientId === null) throw missingClaim(payload.token_use === 'id' ? 'aud' : 'client_id', 'a string')
  if (isMachineToken(payload) || clientIds === null || clientIds.includes(clientId)) return
  throw new VerifyError('client_mismatch', 'The app client that this token was issued to is none that is configured here')
}

function checkUse (payload: JsonObject, accepted: ReadonlyArray<'access' | 'id'>): void {
  if (stringOrNull(payload.sub) === null) throw missingClaim('sub', 'a string')
  if (payload.token_use === undefined) throw missingClaim('token_use', 'access or id')
  if (!accepted.some(use => use === payload.token_use)) {
    throw new VerifyError('token_use_mismatch', `Only ${accepted.join(' and ')} tokens of the user pool are accepted`)
  }
}

function machinePrincipal (payload: JsonObject): Principal {
  return { ...commonOf(payload), kind: 'bot', name: '', email: null, roles: [], scopes: [], groups: [], admin: false }
}

/** A machine client stands for the bot that lists it, and is the bot: with its roles, scopes, e-mail, and its revocations. */
function asMappedBot (principal: SharedPrincipal, payload: JsonObject, bots: MappedBots): SharedPrincipal | Promise<SharedPrincipal> {
  return whenThere(bots.findByClient(clientIdOf(payload) ?? ''), bot => {
    if (!bot) throw new VerifyError('machine_token_not_mapped', 'This machine client of the user pool stands for no bot here: an admin can say for which')
    if (Number(payload.iat) < bot.notBefore) throw new VerifyError('token_revoked', 'All tokens of the bot that were issued so early were revoked: fetch a new one')
    if (!bot.enabled) throw new VerifyError('bot_disabled', 'The bot is switched off: an admin can enable it')
    const { name, email, roles, scopes } = bot
    return { ...principal, name, email, roles, scopes }
  })
}

function userPrincipal (payload: JsonObject, parts: CognitoTokenParts): Principal {
  const user: CognitoUser = { subject: String(payload.sub), groups: stringsOf(payload['cognito:groups'] ?? []), verifiedEmail: verifiedEmailOf(payload) }
  assertDomain(user, parts.requiredDomain)
  const roles = new Set(user.groups.flatMap(group => parts.rolesByGroup?.get(group) ?? []))
  return { ...commonOf(payload), kind: 'user', name: nameOf(payload, parts.principalClaims), email: emailOf(payload), roles: [...roles], groups: [...user.groups], scopes: splitScope(payload.scope), admin: parts.isAdmin(user) }
}

function assertNoBot (principal: SharedPrincipal, bots: MappedBots): SharedPrincipal | Promise<SharedPrincipal> {
  return whenThere(bots.isBotName(principal.name), isBotName => {
    if (isBotName) throw new VerifyError('name_collision', 'A bot has the name of this user: rename one of them')
    return principal
  })
}

function commonOf (payload: JsonObject): Omit<Principal, 'kind' | 'name' | 'email' | 'roles' | 'groups' | 'scopes' | 'admin'> {
  const isIdToken = payload.token_use === 'id'
  return {
    issuer: String(payload.iss),
    subject: String(payload.sub),
    clientId: clientIdOf(payload),
    audience: isIdToken ? stringsOf(payload.aud) : [],
    legacy: false,
    tokenUse: isIdToken ? 'id' : 'access',
    tokenId: stringOrNull(payload.jti),
    pipeline: null,
    runId: null,
    issuedAt: isoDate(payload.iat),
    expiresAt: isoDate(payload.exp),
    claims: payload
  }
}

function clientIdOf ({ token_use: use, aud, client_id: clientId }: JsonObject): string | null {
  return stringOrNull(use === 'id' ? aud : clientId)
}

/** A client-credentials token of the pool: no person signed in. */
function isMachineToken (payload: JsonObject): boolean {
  return payload.token_use === 'access' && payload.username === undefined && payload.sub === payload.client_id
}

/** An address that is known not to be verified counts for nothing. */
function emailOf ({ email, email_verified: verified }: JsonObject): string | null {
  return verified === false || verified === 'false' ? null : stringOrNull(email)
}

function verifiedEmailOf ({ email, email_verified: verified }: JsonObject): string | null {
  return verified === true || verified === 'true' ? stringOrNull(email)?.toLowerCase() ?? null : null
}

function assertDomain ({ verifiedEmail }: CognitoUser, domain: string | null): void {
  if (domain === null || verifiedEmail?.endsWith(`@${domain.toLowerCase()}`)) return
  throw new VerifyError('domain_not_allowed', `Only users with a verified e-mail address at ${domain} are let in`)
}

/** The first of the principal claims that gives a name, then Cognito's own user names, `sub` last. */
function nameOf (payload: JsonObject, principalClaims: readonly string[]): string {
  const claims = [...principalClaims.filter(claim => claim !== 'sub'), 'cognito:username', 'username', 'sub']
  const values = claims.map(claim => claim === 'email' ? emailOf(payload) : stringOrNull(payload[claim]))
  const names = values.map(value => value?.replace(/@.*$/s, '').toLowerCase() ?? '')
  return names.find(name => name !== '') ?? ''
}
