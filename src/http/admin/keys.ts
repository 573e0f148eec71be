/** `/admin/keys`: what there is, rotate, revoke. */
import { Type, type FastifyPluginAsyncTypebox, type Static } from '@fastify/type-provider-typebox'
import { formatDuration } from '../../duration.ts'
import type { KeyRing } from '../../keys/key-ring.ts'
import type { Rotator, RotationWish } from '../../keys/rotator.ts'
import type { RotationPolicy } from '../../keys/rotation-plan.ts'
import { pendingKeysAt, stateAt, type Clock, type SigningKey } from '../../keys/signing-key.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { invalid, Problem } from '../problems.ts'
import { byOf } from './guard.ts'
import { Duration, Moment, MomentOrNull, OrNull, Reason } from '../schemas.ts'

export interface AdminKeyParts {
  ring: KeyRing
  rotator: Rotator
  policy: RotationPolicy
  clock: Clock
  metrics: Metrics
}

const KeySchema = Type.Object({
  kid: Type.String(),
  alg: Type.Literal('RS256'),
  size: Type.Integer(),
  state: Type.Enum(['pending', 'signing', 'retired', 'gone', 'revoked']),
  origin: Type.Enum(['generated', 'imported']),
  publishedAt: Moment,
  signsFrom: Moment,
  signsUntil: MomentOrNull,
  verifiesUntil: Moment,
  revokedAt: MomentOrNull,
  revokedReason: OrNull(Type.String())
})

const KeyList = Type.Object({
  now: Moment,
  policy: Type.Object({ rotateEvery: Duration, publishAhead: Duration, maxTokenTtl: Duration }),
  keys: Type.Array(KeySchema),
  nextRotationAt: MomentOrNull
})

const RotateRequest = Type.Object({
  force: Type.Optional(Type.Boolean()),
  emergency: Type.Optional(Type.Boolean()),
  reason: Type.Optional(Reason)
}, { additionalProperties: false })

const RotationSchema = Type.Object({ effectiveAt: Moment, signing: Type.String(), next: Type.String() })

export const adminKeyRoutes: FastifyPluginAsyncTypebox<AdminKeyParts> = async (app, { ring, rotator, policy, clock, metrics }) => {
  app.get('/keys', {
    config: { needs: 'keys:read', action: 'keys.read' },
    schema: {
      summary: 'The key ring',
      querystring: Type.Object({ all: Type.Optional(Type.Boolean({ description: 'Also keys that are gone' })) }, { additionalProperties: false }),
      response: { 200: KeyList }
    }
  }, async request => listKeys(ring.all(), policy, clock(), request.query.all ?? false))

  app.post('/keys/rotate', {
    config: { needs: 'keys:write', action: 'key.rotated' },
    schema: { summary: 'Rotate the signing key', body: RotateRequest, response: { 200: RotationSchema } }
  }, async request => {
    const wish = wishOf(request.body)
    const { effectiveAt, signing, next } = await rotator.rotate(wish, byOf(request))
    if (wish.kind === 'emergency') metrics.revoked('key')
    return { effectiveAt: effectiveAt.toISOString(), signing, next }
  })

  app.post('/keys/:kid/revoke', {
    config: { needs: 'keys:write', action: 'key.revoked', fails: ['not_found'] },
    schema: {
      summary: 'Revoke a key and every token that it signed',
      params: Type.Object({ kid: Type.String() }),
      body: Type.Object({ reason: Reason }, { additionalProperties: false }),
      response: { 200: KeySchema }
    }
  }, async request => {
    const before = ring.all().find(({ kid }) => kid === request.params.kid)
    const key = await rotator.revoke(request.params.kid, request.body.reason, byOf(request))
    if (!key) throw new Problem('not_found', 'There is no key of this kid')
    if (before?.revokedAt === null) metrics.revoked('key')
    return showKey(key, clock())
  })
}

/** The ring as `GET /admin/keys` and `mintmark key list` show it. */
export function listKeys (ring: readonly SigningKey[], policy: RotationPolicy, now: Date, all: boolean): Static<typeof KeyList> {
  return {
    now: now.toISOString(),
    policy: {
      rotateEvery: formatDuration(policy.rotateEverySeconds),
      publishAhead: formatDuration(policy.publishAheadSeconds),
      maxTokenTtl: formatDuration(policy.maxTokenTtlSeconds)
    },
    keys: ring.filter(key => all || stateAt(key, now) !== 'gone').map(key => showKey(key, now)),
    nextRotationAt: pendingKeysAt(ring, now)[0]?.signsFrom.toISOString() ?? null
  }
}

export function showKey (key: SigningKey, now: Date): Static<typeof KeySchema> {
  return {
    kid: key.kid,
    alg: 'RS256',
    size: key.size,
    state: stateAt(key, now),
    origin: key.origin,
    publishedAt: key.publishedAt.toISOString(),
    signsFrom: key.signsFrom.toISOString(),
    signsUntil: key.signsUntil?.toISOString() ?? null,
    verifiesUntil: key.verifiesUntil.toISOString(),
    revokedAt: key.revokedAt?.toISOString() ?? null,
    revokedReason: key.revokedReason
  }
}

function wishOf ({ force = false, emergency = false, reason }: Static<typeof RotateRequest>): RotationWish {
  if (!emergency) return { kind: force ? 'forced' : 'scheduled' }
  if (reason === undefined) throw invalid('reason', 'is missing: an emergency rotation revokes the key that signed until now')
  return { kind: 'emergency', reason }
}
