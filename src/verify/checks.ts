/**
 * The one list of checks that every door runs, in this order. A token is good if none of them throws.
 * What differs between issuers is asked of the issuer that the token names; see bot-tokens.ts and cognito-tokens.ts.
 */
import { assertSize, decodeUnverified } from './compact-token.ts'
import { missingClaim, VerifyError } from './errors.ts'
import type { FindIssuer, TokenUnderTest, TrustedIssuer } from './trusted-issuer.ts'
import type { VerifiedTokens } from './verified-tokens.ts'
import { whenThere } from './when-there.ts'

export type CheckName =
  | 'token' | 'size' | 'form' | 'algorithm' | 'issuer' | 'key' | 'signature' | 'type' | 'times'
  | 'audience' | 'use' | 'revocation' | 'enabled' | 'principal' | 'kind' | 'scopes' | 'roles' | 'groups' | 'admin' | 'pipelines'

export interface Check {
  readonly name: CheckName
  /** Throws `VerifyError` if the token does not pass. */
  readonly run: (token: TokenUnderTest) => void | Promise<void>
}

/**
 * What was verified before spares `form` its parsing, `signature` its RSA, and `revocation` and `enabled` a second look into the same
 * revocations; each check runs for each request.
 * @param clockToleranceSeconds how far the clocks of issuer and verifier may differ
 */
export function createChecks (findIssuer: FindIssuer, clockToleranceSeconds: number, verifiedTokens: VerifiedTokens): readonly Check[] {
  return [
    { name: 'token', run: checkPresent },
    { name: 'size', run: token => { assertSize(token.raw) } },
    { name: 'form', run: token => { checkForm(token, verifiedTokens) } },
    { name: 'algorithm', run: checkAlgorithm },
    { name: 'issuer', run: token => checkIssuer(token, findIssuer) },
    { name: 'key', run: token => checkKey(token, verifiedTokens) },
    { name: 'signature', run: token => checkSignature(token, verifiedTokens) },
    { name: 'type', run: checkType },
    { name: 'times', run: token => { checkTimes(token, clockToleranceSeconds) } },
    { name: 'audience', run: token => { token.issuer.checkAudience(token) } },
    { name: 'use', run: token => { token.issuer.checkUse(token) } },
    { name: 'revocation', run: token => { token.issuer.checkRevocation(token) } },
    { name: 'enabled', run: token => { token.issuer.checkEnabled(token) } },
    { name: 'principal', run: checkPrincipal },
    { name: 'kind', run: checkKind },
    { name: 'scopes', run: checkScopes },
    { name: 'roles', run: checkRoles },
    { name: 'groups', run: checkGroups },
    { name: 'admin', run: checkAdmin },
    { name: 'pipelines', run: checkPipeline }
  ]
}

function checkPresent ({ raw }: TokenUnderTest): void {
  if (raw === '') throw new VerifyError('token_missing', 'Send the token as "Authorization: Bearer <token>"')
}

function checkForm (token: TokenUnderTest, verifiedTokens: VerifiedTokens): void {
  token.known = verifiedTokens.recall(token.raw, token.now)
  const { header, payload } = token.known ?? decodeUnverified(token.raw, verifiedTokens.headers)
  token.header = header
  token.payload = payload
}

function checkAlgorithm ({ header }: TokenUnderTest): void {
  if (header.alg !== 'RS256') throw new VerifyError('algorithm_not_allowed', 'Only RS256 is accepted')
}

function checkIssuer (token: TokenUnderTest, findIssuer: FindIssuer): void | Promise<void> {
  const { iss } = token.payload
  if (typeof iss !== 'string') throw missingClaim('iss', 'a string')
  return whenThere(findIssuer(iss), (issuer: TrustedIssuer | undefined) => {
    if (!issuer) throw new VerifyError('issuer_unknown', 'The issuer (iss) is neither ours nor a configured user pool')
    token.issuer = issuer
  })
}

function checkKey (token: TokenUnderTest, verifiedTokens: VerifiedTokens): void | Promise<void> {
  const { kid } = token.header
  if (typeof kid !== 'string' || kid === '') throw new VerifyError('key_unknown', 'The header names no key (kid)')
  return whenThere(token.issuer.findKey(kid, token.now), found => {
    if (found instanceof VerifyError) {
      if (token.known) verifiedTokens.dropKey(token.known.key)
      throw found
    }
    token.key = found
  })
}

/** The same bytes under the same key need no second judgement: under another key, though of the same kid, they do. */
function checkSignature (token: TokenUnderTest, verifiedTokens: VerifiedTokens): void | Promise<void> {
  if (token.known?.key === token.key) return undefined
  if (token.known) {
    verifiedTokens.dropKey(token.known.key)
    token.known = undefined
  }
  return whenThere(token.judge(token.raw, token.key, token.issuer.kind), isGood => {
    if (!isGood) throw new VerifyError('signature_invalid', 'The signature does not match the key that the header names')
    verifiedTokens.remember(token)
  })
}

function checkType ({ header: { typ }, issuer }: TokenUnderTest): void {
  const type = typ === undefined ? null : typeof typ === 'string' ? typ : ''
  if (!issuer.types.includes(type) && !issuer.types.includes(type?.toLowerCase() ?? null)) throw new VerifyError('type_not_allowed', 'The header\'s type (typ) is not one that this issuer\'s tokens have')
}

function checkTimes ({ payload: { exp, iat, nbf }, now, issuer }: TokenUnderTest, toleranceSeconds: number): void {
  const seconds = now.getTime() / 1000
  const isAbsent = (time: unknown): boolean => issuer.endless === true && (time === undefined || time === null)
  if (!isTime(exp) && !isAbsent(exp)) throw missingClaim('exp', 'a number of seconds')
  if (!isTime(iat) && !isAbsent(iat)) throw missingClaim('iat', 'a number of seconds')
  if (!isTime(nbf) && nbf !== undefined) throw missingClaim('nbf', 'a number of seconds where there is one')
  if (isTime(exp) && exp + toleranceSeconds <= seconds) throw new VerifyError('token_expired', 'The token\'s life is over: fetch a new one')
  if (isTime(iat) && iat - toleranceSeconds > seconds) throw new VerifyError('token_not_yet_valid', 'The token was issued in the future (iat): compare the clocks')
  if (isTime(nbf) && nbf - toleranceSeconds > seconds) throw new VerifyError('token_not_yet_valid', 'The token is valid later only (nbf)')
}

/** Told by a token that comes again once, completed for each request. */
function checkPrincipal (token: TokenUnderTest): void | Promise<void> {
  const { issuer, known } = token
  token.principal = known ? known.principal ??= issuer.toPrincipal(token) : issuer.toPrincipal(token)
  if (issuer.complete) return whenThere(issuer.complete(token.principal, token), principal => { token.principal = principal })
  return undefined
}

function checkKind ({ principal: { kind }, demands: { kinds } }: TokenUnderTest): void {
  if (kinds && !kinds.includes(kind)) throw new VerifyError('role_insufficient', `Only a ${kinds.join(' or a ')} may do this, not a ${kind}`)
}

function checkScopes ({ principal, demands }: TokenUnderTest): void {
  const lacking = missingOf(demands.scopes, principal.scopes)
  if (lacking.length > 0) throw new VerifyError('scope_insufficient', `The token lacks ${lacking.length > 1 ? 'scopes' : 'scope'} ${lacking.join(' ')}`)
}

function checkRoles ({ principal, demands }: TokenUnderTest): void {
  const lacking = missingOf(demands.roles, principal.roles)
  if (lacking.length > 0) throw new VerifyError('role_insufficient', `The token lacks ${lacking.length > 1 ? 'roles' : 'role'} ${lacking.join(', ')}`)
}

function checkGroups ({ principal, demands }: TokenUnderTest): void {
  const lacking = missingOf(demands.groups, principal.groups)
  if (lacking.length > 0) throw new VerifyError('role_insufficient', `The token lacks ${lacking.length > 1 ? 'groups' : 'group'} ${lacking.join(', ')}`)
}

function checkAdmin ({ principal, demands }: TokenUnderTest): void {
  if (demands.admin && !principal.admin) throw new VerifyError('admin_required', 'This takes an admin')
}

function checkPipeline ({ principal: { pipeline }, demands: { pipelines } }: TokenUnderTest): void {
  if (pipelines === undefined || (pipeline !== null && pipelines.includes(pipeline))) return
  throw new VerifyError('role_insufficient', `The token is not one for ${pipelines.length > 1 ? 'the pipelines' : 'the pipeline'} ${pipelines.join(', ')}`)
}

const NONE: readonly string[] = []

function missingOf (demanded: readonly string[] | undefined, present: readonly string[]): readonly string[] {
  return demanded === undefined ? NONE : demanded.filter(word => !present.includes(word))
}

function isTime (value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}
