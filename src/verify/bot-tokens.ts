/** Tokens that we minted: how their claims read, and what may have been taken back. */
import type { Lookup } from '../keys/key-ring.ts'
import type { VerificationKey } from '../keys/verification-key.ts'
import { BOT_TOKEN_TYPES, splitScope } from '../tokens/claims.ts'
import type { Revocations } from '../tokens/revocations.ts'
import { missingClaim, VerifyError } from './errors.ts'
import { isoDate, stringOrNull, stringsOf, type Principal } from './principal.ts'
import { remembering } from './remembering.ts'
import type { TokenUnderTest, TrustedIssuer } from './trusted-issuer.ts'
import { whenThere } from './when-there.ts'

export interface BotTokenParts {
  /** Keys of the issuer that the token names. Throws `keys_unavailable`. */
  findKey: (kid: string, now: Date) => Lookup | Promise<Lookup>
  /** The audiences of this verifier; `null`: any will do. */
  audience: readonly string[] | null
  revocations: Pick<Revocations, 'isStale' | 'isBotDisabled' | 'isTokenRevoked' | 'isRunRevoked' | 'notBefore' | 'edition'>
  isAdmin: (bot: { scopes: readonly string[], audience: readonly string[] }) => boolean
}

export function botTokens (parts: BotTokenParts): TrustedIssuer {
  return {
    kind: 'bot',
    types: BOT_TOKEN_TYPES,
    expectedAudience: parts.audience?.join(' or ') ?? 'any',
    findKey: (kid, now) => whenThere(parts.findKey(kid, now), keyOf),
    checkAudience: token => { checkAudience(token, parts.audience) },
    checkUse,
    checkRevocation: token => { checkRevocation(token, parts) },
    checkEnabled ({ payload, known }) {
      const edition = parts.revocations.edition()
      if (known && known.enabledIn === edition) return
      if (parts.revocations.isBotDisabled(String(payload.sub))) throw new VerifyError('bot_disabled', 'The bot is switched off: an admin can enable it')
      if (known) known.enabledIn = edition
    },
    toPrincipal: token => toPrincipal(token, parts)
  }
}

function keyOf (lookup: Lookup): VerificationKey | VerifyError {
  if (lookup.found === 'key') return lookup.key
  return lookup.found === 'revoked'
    ? new VerifyError('key_revoked', 'The key that signed this token was revoked: fetch a new token')
    : new VerifyError('key_unknown', 'The issuer has no key of this kid: it was never published, or it is long gone')
}

function checkAudience ({ payload, demands }: TokenUnderTest, expected: readonly string[] | null): void {
  const audience = stringsOf(payload.aud)
  if (audience.length === 0) throw missingClaim('aud', 'a string or a list of strings')
  const wanted = demands.audience === undefined ? expected : demands.audience
  if (wanted && !wanted.some(candidate => audience.includes(candidate))) {
    throw new VerifyError('audience_mismatch', `The token is not meant for ${wanted.join(' or ')}`)
  }
}

const NAMES = ['sub', 'client_id'] as const

function checkUse ({ payload }: TokenUnderTest): void {
  for (const claim of NAMES) {
    if (stringOrNull(payload[claim]) === null) throw missingClaim(claim, 'a string')
  }
  if (payload.isBot !== true || payload.tokenType !== 'BOT') throw new VerifyError('token_use_mismatch', 'The token is not a bot\'s')
}

function checkRevocation ({ payload, known, now }: TokenUnderTest, { revocations }: BotTokenParts): void {
  if (revocations.isStale(now)) throw new VerifyError('state_stale', 'Revocations have not been heard of for too long to trust any token')
  const edition = revocations.edition()
  if (known && known.unrevokedIn === edition) return
  const { jti, sub, iat, run_id: run } = payload
  const tokenId = stringOrNull(jti)
  if (tokenId === null) throw missingClaim('jti', 'a string')
  if (revocations.isTokenRevoked(tokenId)) throw new VerifyError('token_revoked', 'The token was revoked: fetch a new one')
  if (typeof run === 'string' && revocations.isRunRevoked(String(sub), run)) throw new VerifyError('token_revoked', 'The tokens of this run were revoked: a new run takes another name')
  if (Number(iat) < revocations.notBefore(String(sub))) throw new VerifyError('token_revoked', 'All tokens of the bot that were issued so early were revoked: fetch a new one')
  if (known) known.unrevokedIn = edition
}

/** Principals are remembered: one list for all who have the same scopes. */
const scopesOf = remembering(1_000, splitScope)
const NONE: string[] = []

function toPrincipal ({ payload }: TokenUnderTest, { isAdmin }: BotTokenParts): Principal {
  const scopes = scopesOf(payload.scope)
  const audience = stringsOf(payload.aud)
  return {
    kind: 'bot',
    name: String(payload.sub),
    email: stringOrNull(payload.email),
    issuer: String(payload.iss),
    subject: String(payload.sub),
    clientId: stringOrNull(payload.client_id),
    audience,
    roles: stringsOf(payload.roles ?? []),
    groups: NONE,
    scopes,
    admin: isAdmin({ scopes, audience }),
    legacy: false,
    tokenUse: 'access',
    tokenId: stringOrNull(payload.jti),
    pipeline: stringOrNull(payload.pipeline),
    runId: stringOrNull(payload.run_id),
    issuedAt: isoDate(payload.iat),
    expiresAt: isoDate(payload.exp),
    claims: payload
  }
}
