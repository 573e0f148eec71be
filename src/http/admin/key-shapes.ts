/** Keys as the admin API and the command line show them, and what an act on one of them would touch. */
import { Type, type Static } from 'typebox'
import { formatDuration } from '../../duration.ts'
import { legacyStateAt, type LegacyKey } from '../../keys/legacy-key.ts'
import type { RotationPolicy } from '../../keys/rotation-plan.ts'
import { KEY_STATES, pendingKeysAt, stateAt, type SigningKey } from '../../keys/signing-key.ts'
import type { KeyCounts, LegacyUse } from '../../tokens/token-counts.ts'
import { Duration, Moment, MomentOrNull, OrNull } from '../schemas.ts'

const LegacyUseSchema = Type.Object({ bot: Type.String(), tokens: Type.Integer(), lastSeenAt: Moment })

export const KeySchema = Type.Object({
  kid: Type.String(),
  alg: Type.Literal('RS256'),
  size: Type.Integer(),
  state: Type.Enum([...KEY_STATES]),
  origin: Type.Enum(['generated', 'imported']),
  legacyIssuer: OrNull(Type.String({ description: 'Of a legacy key: the iss of the tokens that it signed elsewhere' })),
  publishedAt: MomentOrNull,
  signsFrom: MomentOrNull,
  signsUntil: MomentOrNull,
  verifiesUntil: Moment,
  revokedAt: MomentOrNull,
  revokedReason: OrNull(Type.String()),
  tokens: Type.Object({
    issued: Type.Integer({ description: 'Of a legacy key: how often one was verified here' }),
    liveUntil: MomentOrNull,
    bots: Type.Integer({ description: 'How many bots have living tokens of it' }),
    lastUsedAt: MomentOrNull,
    seen: Type.Optional(Type.Array(LegacyUseSchema, { description: 'Of a legacy key: who still uses it, the last one first' }))
  })
})

export const KeyList = Type.Object({
  now: Moment,
  policy: Type.Object({ rotateEvery: Duration, publishAhead: Duration, maxTokenTtl: Duration }),
  keys: Type.Array(KeySchema),
  nextRotationAt: MomentOrNull
})

export const Touches = Type.Object({
  liveTokens: Type.Integer({ description: 'Tokens that would be refused; may lag two seconds' }),
  bots: Type.Array(Type.String()),
  until: MomentOrNull,
  lastUsedAt: MomentOrNull
})

/** What is known of the tokens of all keys, read together. */
export interface KeyUses {
  counts: ReadonlyMap<string, KeyCounts>
  legacy: ReadonlyMap<string, readonly LegacyUse[]>
}

export interface Keys {
  ring: readonly SigningKey[]
  legacy: readonly LegacyKey[]
  uses: KeyUses
}

export function listKeys ({ ring, legacy, uses }: Keys, policy: RotationPolicy, now: Date, all: boolean): Static<typeof KeyList> {
  const keys = [...ring.map(key => showKey(key, uses, now)), ...legacy.map(key => showLegacyKey(key, uses, now))]
  return {
    now: now.toISOString(),
    policy: {
      rotateEvery: formatDuration(policy.rotateEverySeconds),
      publishAhead: formatDuration(policy.publishAheadSeconds),
      maxTokenTtl: formatDuration(policy.maxTokenTtlSeconds)
    },
    keys: keys.filter(key => all || key.state !== 'gone'),
    nextRotationAt: pendingKeysAt(ring, now)[0]?.signsFrom.toISOString() ?? null
  }
}

export function showKey (key: SigningKey, { counts }: KeyUses, now: Date): Static<typeof KeySchema> {
  const known = counts.get(key.kid)
  return {
    kid: key.kid,
    alg: 'RS256',
    size: key.size,
    state: stateAt(key, now),
    origin: key.origin,
    legacyIssuer: null,
    publishedAt: key.publishedAt.toISOString(),
    signsFrom: key.signsFrom.toISOString(),
    signsUntil: key.signsUntil?.toISOString() ?? null,
    verifiesUntil: key.verifiesUntil.toISOString(),
    revokedAt: key.revokedAt?.toISOString() ?? null,
    revokedReason: key.revokedReason,
    tokens: {
      issued: known?.issued ?? 0,
      liveUntil: known?.liveUntil?.toISOString() ?? null,
      bots: known?.bots.length ?? 0,
      lastUsedAt: known?.lastUsedAt?.toISOString() ?? null
    }
  }
}

export function showLegacyKey (key: LegacyKey, { legacy }: KeyUses, now: Date): Static<typeof KeySchema> {
  const seen = legacy.get(key.kid) ?? []
  return {
    kid: key.kid,
    alg: 'RS256',
    size: key.size,
    state: legacyStateAt(key, now),
    origin: 'imported',
    legacyIssuer: key.issuer,
    publishedAt: null,
    signsFrom: null,
    signsUntil: null,
    verifiesUntil: key.verifiesUntil.toISOString(),
    revokedAt: key.revokedAt?.toISOString() ?? null,
    revokedReason: key.revokedReason,
    tokens: {
      issued: seen.reduce((sum, use) => sum + use.tokens, 0),
      liveUntil: seen.length > 0 ? key.verifiesUntil.toISOString() : null,
      bots: seen.length,
      lastUsedAt: seen[0]?.lastSeenAt.toISOString() ?? null,
      seen: seen.map(use => ({ ...use, lastSeenAt: use.lastSeenAt.toISOString() }))
    }
  }
}

/** What would be refused if the key were revoked. Of a legacy key only those are known that were seen here. */
export function touchesOf (kid: string | null, { counts, legacy }: KeyUses, legacyVerifiesUntil: Date | null): Static<typeof Touches> {
  const seen = legacy.get(kid ?? '')
  if (seen) {
    return { liveTokens: seen.length, bots: seen.map(use => use.bot), until: legacyVerifiesUntil?.toISOString() ?? null, lastUsedAt: seen[0]?.lastSeenAt.toISOString() ?? null }
  }
  const known = counts.get(kid ?? '')
  return {
    liveTokens: known?.liveTokens ?? 0,
    bots: [...known?.bots ?? []],
    until: known?.liveUntil?.toISOString() ?? null,
    lastUsedAt: known?.lastUsedAt?.toISOString() ?? null
  }
}
