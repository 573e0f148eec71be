/** Bot tokens that another server, such as OpenMetadata, signed before: good until the end of their imported key. */
import type { LegacyLookups } from '../keys/legacy-key.ts'
import type { Revocations } from '../tokens/revocations.ts'
import { missingClaim, VerifyError } from './errors.ts'
import { isoDate, stringOrNull, stringsOf, type Principal } from './principal.ts'
import type { TokenUnderTest, TrustedIssuer } from './trusted-issuer.ts'

export interface LegacyTokenParts {
  issuer: string
  keys: Pick<LegacyLookups, 'find' | 'verifiesUntil'>
  /** A legacy bot need not exist here; where one of its name does, these hold for it too. */
  revocations: Pick<Revocations, 'isStale' | 'isBotDisabled' | 'notBefore'>
}

export function legacyTokens ({ issuer, keys, revocations }: LegacyTokenParts): TrustedIssuer {
  return {
    kind: 'bot',
    types: [null, 'jwt'],
    expectedAudience: 'none',
    endless: true,
    findKey (kid) {
      const lookup = keys.find(issuer, kid)
      if (lookup.found === 'key') return lookup.key
      return lookup.found === 'revoked'
        ? new VerifyError('key_revoked', 'The legacy key that signed this token was revoked: fetch a token here')
        : new VerifyError('key_unknown', 'No legacy key of this kid was imported, or its time is over: fetch a token here')
    },
    checkAudience ({ demands }) {
      if (demands.audience) throw new VerifyError('audience_mismatch', 'A legacy token is meant for no audience')
    },
    checkUse ({ payload }) {
      if (stringOrNull(payload.sub) === null) throw missingClaim('sub', 'a string')
      if (payload.isBot !== true) throw new VerifyError('token_use_mismatch', 'Of legacy tokens only those of bots are accepted')
    },
    checkRevocation ({ payload: { sub, iat } }) {
      if (revocations.isStale()) throw new VerifyError('state_stale', 'Revocations have not been heard of for too long to trust any token')
      if (Number(iat ?? 0) < revocations.notBefore(String(sub))) throw new VerifyError('token_revoked', 'All tokens of the bot that were issued so early were revoked: fetch one here')
    },
    checkEnabled ({ payload }) {
      if (revocations.isBotDisabled(String(payload.sub))) throw new VerifyError('bot_disabled', 'The bot is switched off: an admin can enable it')
    },
    toPrincipal,
    complete: (principal, { key }) => principal.expiresAt === null ? { ...principal, expiresAt: keys.verifiesUntil(key.kid)?.toISOString() ?? null } : principal
  }
}

function toPrincipal ({ payload }: TokenUnderTest): Principal {
  return {
    kind: 'bot',
    name: String(payload.sub),
    email: stringOrNull(payload.email),
    issuer: String(payload.iss),
    subject: String(payload.sub),
    clientId: null,
    audience: [],
    roles: stringsOf(payload.roles ?? []),
    groups: [],
    scopes: [],
    admin: false,
    legacy: true,
    tokenUse: 'access',
    tokenId: null,
    pipeline: null,
    runId: null,
    issuedAt: isoDate(payload.iat),
    expiresAt: isoDate(payload.exp),
    claims: payload
  }
}
