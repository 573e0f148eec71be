/**
 * What became of a token, check by check, for someone at 3 a.m. who has nothing but "401" in a log.
 * The content of a token whose signature did not pass stands under `unverified` only.
 */
import type { CheckName, Check } from './checks.ts'
import { LARGEST_TOKEN_BYTES } from '../tokens/claims.ts'
import type { JsonObject } from './compact-token.ts'
import type { VerifyCode, VerifyError } from './errors.ts'
import { isoDate, stringsOf, type SharedPrincipal } from './principal.ts'
import type { TokenUnderTest } from './trusted-issuer.ts'

export interface CheckOutcome {
  name: CheckName
  outcome: 'passed' | 'failed' | 'skipped'
  expected?: string
  found?: string
  advice?: string
}

export interface Explanation {
  active: boolean
  principal?: SharedPrincipal
  code?: VerifyCode
  checks: CheckOutcome[]
  unverified?: { header: JsonObject, payload: JsonObject }
}

export interface Failure {
  check: CheckName
  error: VerifyError
}

export function explain (checks: readonly Check[], token: TokenUnderTest, failure: Failure | null): Explanation {
  const placeOf = (name: CheckName): number => checks.findIndex(check => check.name === name)
  const failedAt = failure ? placeOf(failure.check) : checks.length
  const authentic = failedAt > placeOf('signature')
  const outcomes = checks.map(({ name }, place) => outcomeOf(name, place, failedAt, { token, authentic, failure }))
  if (!failure) return { active: true, principal: token.principal, checks: outcomes }
  const decoded = failedAt > placeOf('form')
  return {
    active: false,
    code: failure.error.code,
    checks: outcomes,
    ...(decoded && !authentic && { unverified: { header: token.header, payload: token.payload } })
  }
}

function outcomeOf (name: CheckName, place: number, failedAt: number, { token, authentic, failure }: { token: TokenUnderTest, authentic: boolean, failure: Failure | null }): CheckOutcome {
  if (place > failedAt) return { name, outcome: 'skipped' }
  const finding = CONTENT_CHECKS.has(name) && !authentic ? {} : withoutEmpty(FINDINGS[name](token))
  if (place < failedAt || !failure) return { name, outcome: 'passed', ...finding }
  return { name, outcome: 'failed', found: failure.error.message, ...finding, advice: ADVICE[failure.error.code] }
}

interface Finding {
  expected?: string | undefined
  found?: string | undefined
}

/** What these say of the token is its content: nobody vouches for it before the signature has passed. */
const CONTENT_CHECKS: ReadonlySet<CheckName> = new Set(['algorithm', 'issuer', 'key', 'type', 'times', 'audience', 'use', 'revocation', 'enabled', 'principal', 'kind', 'scopes', 'roles', 'groups', 'admin', 'pipelines'])

const FINDINGS: Record<CheckName, (token: TokenUnderTest) => Finding> = {
  token: ({ raw }) => ({ expected: 'a token', found: raw === '' ? 'none' : 'one' }),
  size: ({ raw }) => ({ expected: `at most ${LARGEST_TOKEN_BYTES} bytes`, found: `${Buffer.byteLength(raw)} bytes` }),
  form: () => ({ expected: 'header.payload.signature, each base64url without padding, the first two JSON objects' }),
  algorithm: ({ header }) => ({ expected: 'RS256', found: shown(header.alg) }),
  issuer: ({ payload }) => ({ expected: 'our issuer, one that we minted under, a legacy issuer, or a configured user pool', found: shown(payload.iss) }),
  key: ({ header }) => ({ expected: 'a published key of that issuer', found: shown(header.kid) }),
  signature: () => ({ expected: 'made with the private half of that key' }),
  type: ({ header, issuer }) => ({ expected: issuer.types.map(type => type ?? 'none').join(', '), found: shown(header.typ ?? 'none') }),
  times: ({ payload, now }) => ({
    expected: `valid at ${now.toISOString()} by this server's clock`,
    found: `issued ${isoDate(payload.iat) ?? 'at no known time'}, expires ${isoDate(payload.exp) ?? 'by nothing that it says'}${payload.nbf === undefined ? '' : `, not before ${isoDate(payload.nbf) ?? 'an unknown time'}`}`
  }),
  audience: ({ payload, issuer, demands }) => ({
    expected: issuer.kind === 'bot' && demands.audience ? demands.audience.join(' or ') : issuer.expectedAudience,
    found: shown(issuer.kind === 'bot' || payload.token_use === 'id' ? payload.aud : payload.client_id)
  }),
  use: ({ payload, issuer }) => issuer.kind === 'bot'
    ? { expected: 'tokenType BOT, isBot true', found: `tokenType ${shown(payload.tokenType)}, isBot ${shown(payload.isBot)}` }
    : { expected: 'a token_use that MINTMARK_TOKEN_USE names', found: shown(payload.token_use) },
  revocation: ({ payload }) => ({ expected: 'a token that nobody took back', found: payload.jti === undefined ? undefined : `token ${shown(payload.jti)} of ${shown(payload.sub)}, issued ${isoDate(payload.iat) ?? 'at no known time'}` }),
  enabled: ({ payload }) => ({ expected: 'a bot that is switched on', found: shown(payload.sub) }),
  principal: () => ({ expected: 'a bot, or a user that is no bot\'s namesake and of an allowed domain' }),
  kind: ({ demands, principal }) => ({ expected: demands.kinds?.join(' or ') ?? 'bot or user', found: principal.kind }),
  scopes: ({ demands, principal }) => ({ expected: list(demands.scopes ?? []), found: list(principal.scopes) }),
  roles: ({ demands, principal }) => ({ expected: list(demands.roles ?? []), found: list(principal.roles) }),
  groups: ({ demands, principal }) => ({ expected: list(demands.groups ?? []), found: list(principal.groups) }),
  admin: ({ demands, principal }) => ({ expected: demands.admin ? 'an admin' : 'anyone', found: principal.admin ? 'an admin' : 'no admin' }),
  pipelines: ({ demands, principal }) => ({ expected: demands.pipelines === undefined ? 'any, or none' : demands.pipelines.join(' or '), found: principal.pipeline ?? 'none' })
}

/** What to do next. A code without advice does not compile. */
export const ADVICE: Record<VerifyCode, string> = {
  token_missing: 'The request came without a token. Check that the client sends "Authorization: Bearer <token>", and that no proxy on the way drops the header.',
  request_invalid: 'Send one token, in the form "Authorization: Bearer <token>": one blank, no quotes, no line break.',
  token_too_large: 'No token of ours is so large. Look whether something else was sent, such as a whole JSON answer instead of its access_token.',
  token_malformed: 'The token was cut or changed on its way: compare its length with that of the token that was issued. Look for quotes, line breaks, a missing last part, or the JSON around it.',
  algorithm_not_allowed: 'Neither this service nor Cognito signs so. Find out who made this token; if nobody did, somebody tries to forge one.',
  issuer_unknown: 'Compare iss with MINTMARK_ISSUER (bots) and AUTHENTICATION_AUTHORITY (users), letter by letter. The token may come from another environment, such as staging.',
  key_unknown: 'If the issuer was restored from a backup or set up anew, its keys are others now: fetch a new token. If it is a user pool, compare its JWKS with the kid. A token older than its key also ends so.',
  key_revoked: 'An admin revoked this key, and with it every token that it signed: GET /admin/keys says when and why. The pipeline only has to fetch a new token.',
  signature_invalid: 'The token was changed after it was signed, or cut at its end, or forged. Fetch a new one; if it happens again, compare what is sent with what was issued.',
  type_not_allowed: 'This is another kind of JWT of the same issuer, such as a revocation feed. Send an access token.',
  token_expired: 'Fetch a new token. If pipelines meet this in the middle of a run, let the agent renew the token, or raise the bot\'s tokenTtl. If the token is new, compare the clocks.',
  token_not_yet_valid: 'The clock of this server is behind that of the issuer by more than MINTMARK_CLOCK_TOLERANCE: set both by NTP.',
  audience_mismatch: 'The bot\'s token is meant for another API. Add the audience to the bot (PATCH /admin/bots/{name}), or ask for it when fetching the token (audience=…), or correct MINTMARK_AUDIENCE here.',
  client_mismatch: 'The user signed in through another app client of the pool. Add its id to AUTHENTICATION_CLIENT_ID if it may come here.',
  token_use_mismatch: 'Send the kind of token that is accepted: MINTMARK_TOKEN_USE for users, a bot\'s access token for bots.',
  claim_missing: 'A claim that such a token always has is not there. For a user pool, look which attributes the app client may read; a token of ours never lacks one.',
  token_revoked: 'Somebody took this token back: GET /admin/audit says who and when. Fetch a new one, unless the bot was deleted.',
  bot_disabled: 'An admin switched the bot off: GET /admin/audit?action=bot.updated says who. PATCH /admin/bots/{name} {"enabled":true} or "mintmark bot enable" lets it in again.',
  machine_token_not_mapped: 'Say which bot this machine client stands for: PATCH /admin/bots/{name} {"cognitoClientIds":["…"]}; or let the pipeline fetch a bot token here.',
  name_collision: 'A user and a bot have one name, and whoever trusts names would take one for the other. Rename the bot, or take users\' names from another claim (AUTHENTICATION_JWT_PRINCIPAL_CLAIMS).',
  domain_not_allowed: 'AUTHORIZER_ENFORCE_PRINCIPAL_DOMAIN is on: the user needs a verified e-mail address of AUTHORIZER_PRINCIPAL_DOMAIN. Access tokens of Cognito bear no e-mail address: send the id token.',
  scope_insufficient: 'Give the bot the scope (PATCH /admin/bots/{name}), and fetch a new token: old ones keep the scopes that they were issued with. See also whether the client asks for fewer scopes than it may have.',
  role_insufficient: 'Give the bot the role (PATCH /admin/bots/{name}), or put the user into the group, and fetch a new token: old ones keep what they were issued with. A bot has no groups, and a user has the roles only that the API maps groups to. Where a pipeline is asked for: fetch the token with mintmark_pipeline.',
  admin_required: 'See MINTMARK_ADMIN_GROUPS and AUTHORIZER_ADMIN_PRINCIPALS for users, and "mintmark bot create NAME --admin" for bots.',
  keys_unavailable: 'The issuer\'s JWKS cannot be fetched: the log says why. Try its address with curl from this machine: DNS, proxy, firewall, certificate.',
  state_stale: 'The database has been away for longer than MINTMARK_MAX_STALENESS, so a revocation may have been missed. GET /health/ready says what is wrong.'
}

/** A claim as text, whatever it is, short enough to read. */
function shown (value: unknown): string | undefined {
  if (value === undefined) return undefined
  const text = typeof value === 'string' ? value : stringsOf(value).join(', ') || JSON.stringify(value)
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

function list (words: readonly string[]): string {
  return words.length === 0 ? 'none' : words.join(' ')
}

function withoutEmpty ({ expected, found }: Finding): { expected?: string, found?: string } {
  return { ...(expected !== undefined && { expected }), ...(found !== undefined && { found }) }
}
