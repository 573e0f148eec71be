/** Tokens of an Amazon Cognito user pool, or of an issuer that speaks like one: how their claims read, whom they let in. */
import { JwtVerifier } from 'aws-jwt-verify'
import type { JwksCache } from 'aws-jwt-verify/jwk'
import type { VerificationKey } from '../keys/key-ring.ts'
import { splitScope } from '../tokens/claims.ts'
import type { JsonObject } from './compact-token.ts'
import { missingClaim, VerifyError } from './errors.ts'
import { isoDate, stringOrNull, stringsOf, type Principal } from './principal.ts'
import type { RemoteKeys } from './remote-keys.ts'
import type { TokenUnderTest, TrustedIssuer } from './trusted-issuer.ts'

export interface CognitoTokenParts {
  keys: RemoteKeys
  /** App clients whose users may come; `null`: any of the pool. */
  clientIds: readonly string[] | null
  tokenUse: ReadonlyArray<'access' | 'id'>
  /** Claims that a user's name is taken from. */
  principalClaims: readonly string[]
  /** Refuse users without a verified e-mail address of this domain; `null`: let all in. */
  requiredDomain: string | null
  isAdmin: (user: CognitoUser) => boolean
  /** True if a bot has this name: a user must not be taken for it. */
  isBotName: (name: string) => Promise<boolean>
}

export interface CognitoUser {
  subject: string
  groups: readonly string[]
  /** Only if the pool says that it is verified. */
  verifiedEmail: string | null
}

export function cognitoTokens (parts: CognitoTokenParts): TrustedIssuer {
  return {
    types: [null, 'jwt'],
    async findKey (kid) {
      const key = await parts.keys.find(kid)
      if (!key) throw new VerifyError('key_unknown', 'The user pool publishes no usable key of this kid')
      return key
    },
    hasGoodSignature: judgeByAws(),
    checkAudience: ({ payload }) => { checkClient(payload, parts.clientIds) },
    checkUse: ({ payload }) => { checkUse(payload, parts.tokenUse) },
    checkRevocation () { /* Cognito publishes no revocations */ },
    checkEnabled () { /* nor whether a user still is enabled */ },
    toPrincipal: async token => await toPrincipal(token, parts)
  }
}

/** The pool's issuers: Cognito writes `iss` in either of two forms (region or multi-region), with the same keys. */
export function issuerFormsOf (authority: string): string[] {
  const pool = /^https:\/\/(?:issuer-)?cognito-idp\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)\/([\w-]+)$/.exec(authority)
  return pool
    ? [`https://cognito-idp.${pool[1] ?? ''}.${pool[2] ?? ''}/${pool[3] ?? ''}`, `https://issuer-cognito-idp.${pool[1] ?? ''}.${pool[2] ?? ''}/${pool[3] ?? ''}`]
    : [authority]
}

/** `aws-jwt-verify`, told to judge form, key and signature alone: it knows no clock but the machine's. */
function judgeByAws (): (token: TokenUnderTest) => boolean {
  const verifiers = new WeakMap<VerificationKey, { verifySync: (token: string) => unknown }>()

  function verifierFor (key: VerificationKey): { verifySync: (token: string) => unknown } {
    let verifier = verifiers.get(key)
    if (!verifier) {
      const config = { issuer: null, audience: null, graceSeconds: Infinity, jwksUri: 'urn:mintmark:chosen-key' }
      verifiers.set(key, verifier = JwtVerifier.create(config, { jwksCache: cacheOfOne(key) }))
    }
    return verifier
  }

  return ({ raw, key }) => {
    try {
      verifierFor(key).verifySync(raw)
      return true
    } catch {
      return false
    }
  }
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
  throw new VerifyError('client_mismatch', 'The app client that this token was issued to is not one of AUTHENTICATION_CLIENT_ID')
}

function checkUse (payload: JsonObject, accepted: ReadonlyArray<'access' | 'id'>): void {
  if (stringOrNull(payload.sub) === null) throw missingClaim('sub', 'a string')
  if (payload.token_use === undefined) throw missingClaim('token_use', 'access or id')
  if (!accepted.some(use => use === payload.token_use)) {
    throw new VerifyError('token_use_mismatch', `Only ${accepted.join(' and ')} tokens of the user pool are accepted`)
  }
}

async function toPrincipal ({ payload }: TokenUnderTest, parts: CognitoTokenParts): Promise<Principal> {
  if (isMachineToken(payload)) throw new VerifyError('machine_token_not_mapped', 'This machine client of the user pool stands for no bot')
  const user: CognitoUser = { subject: String(payload.sub), groups: stringsOf(payload['cognito:groups'] ?? []), verifiedEmail: verifiedEmailOf(payload) }
  assertDomain(user, parts.requiredDomain)
  const name = nameOf(payload, parts.principalClaims)
  if (await parts.isBotName(name)) throw new VerifyError('name_collision', 'A bot has the name of this user: rename one of them')
  const isIdToken = payload.token_use === 'id'
  return {
    kind: 'user',
    name,
    email: emailOf(payload),
    issuer: String(payload.iss),
    subject: user.subject,
    clientId: clientIdOf(payload),
    audience: isIdToken ? stringsOf(payload.aud) : [],
    roles: [],
    groups: [...user.groups],
    scopes: splitScope(payload.scope),
    admin: parts.isAdmin(user),
    legacy: false,
    tokenUse: isIdToken ? 'id' : 'access',
    tokenId: stringOrNull(payload.jti),
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
  if (domain === null || verifiedEmail?.endsWith(`@${domain}`)) return
  throw new VerifyError('domain_not_allowed', `Only users with a verified e-mail address at ${domain} are let in`)
}

/** The first present of the principal claims, then Cognito's own user names, `sub` last. */
function nameOf (payload: JsonObject, principalClaims: readonly string[]): string {
  const claims = [...principalClaims.filter(claim => claim !== 'sub'), 'cognito:username', 'username', 'sub']
  const values = claims.map(claim => claim === 'email' ? emailOf(payload) : stringOrNull(payload[claim]))
  const name = values.find(value => value !== null) ?? ''
  return name.replace(/@.*$/s, '').toLowerCase()
}
