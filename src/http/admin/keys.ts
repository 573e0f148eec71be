/** `/admin/keys`: what there is, rotate, revoke, import; and, with `?dryRun=true`, what that would touch. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type, type Static } from 'typebox'
import { KeyRefused } from '../../keys/key-import.ts'
import type { Imported, KeyOffice, KnownKey } from '../../keys/key-office.ts'
import type { KeyRing } from '../../keys/key-ring.ts'
import type { LegacyRing } from '../../keys/legacy-key.ts'
import type { RotationPolicy } from '../../keys/rotation-plan.ts'
import type { Rotator, RotationWish } from '../../keys/rotator.ts'
import type { Clock } from '../../keys/signing-key.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { CountStore } from '../../tokens/token-counts.ts'
import { invalid, Problem } from '../problems.ts'
import { Moment, Reason } from '../schemas.ts'
import { byOf } from './guard.ts'
import { KeyList, KeySchema, listKeys, showKey, showLegacyKey, Touches, touchesOf, type KeyUses } from './key-shapes.ts'

export interface AdminKeyParts {
  ring: KeyRing
  legacyRing: LegacyRing
  rotator: Rotator
  keyOffice: KeyOffice
  counts: CountStore
  policy: RotationPolicy
  clock: Clock
  metrics: Metrics
}

const RotateRequest = Type.Object({
  force: Type.Optional(Type.Boolean({ description: 'From now; verifiers that cache the JWKS may meet a key that they do not know yet' })),
  emergency: Type.Optional(Type.Boolean({ description: 'From now, and the key that signed until now is revoked' })),
  reason: Type.Optional(Reason)
}, { additionalProperties: false })

const ImportRequestSchema = Type.Object({
  privateKey: Type.Optional(Type.String({ minLength: 1, maxLength: 20_000, description: 'PEM, or base64 of DER (PKCS#8)' })),
  publicKey: Type.Optional(Type.String({ minLength: 1, maxLength: 20_000, description: 'PEM, or base64 of DER (SPKI)' })),
  kid: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: 'Its thumbprint (RFC 7638) by default' })),
  issuer: Type.Optional(Type.String({ minLength: 1, maxLength: 1_000, description: 'The iss of the tokens that it signed elsewhere: makes it a legacy key' })),
  verifiesUntil: Type.Optional(Moment)
}, { additionalProperties: false })

const DryRunQuery = Type.Object({ dryRun: Type.Optional(Type.Boolean({ description: 'Change nothing, and say what the act would touch' })) }, { additionalProperties: false })
const DryRun = { dryRun: Type.Optional(Type.Literal(true)), touches: Type.Optional(Touches) }
const RotationSchema = Type.Object({ effectiveAt: Moment, signing: Type.String(), next: Type.String(), ...DryRun })
const OneKey = Type.Object({ ...KeySchema.properties, ...DryRun })

export const adminKeyRoutes: FastifyPluginAsyncTypebox<AdminKeyParts> = async (app, { ring, legacyRing, rotator, keyOffice, counts, policy, clock, metrics }) => {
  const readUses = async (): Promise<KeyUses> => ({ counts: await counts.read(clock()), legacy: await counts.readLegacy() })

  async function show (known: KnownKey, dryRun: boolean): Promise<Static<typeof OneKey>> {
    const uses = await readUses()
    const shown = known.kind === 'ring' ? showKey(known.key, uses, clock()) : showLegacyKey(known.key, uses, clock())
    return dryRun ? { dryRun, ...shown, touches: touchesOf(shown.kid, uses, legacyRing.verifiesUntil(shown.kid)) } : shown
  }

  app.get('/keys', {
    config: { needs: 'keys:read', action: 'keys.read' },
    schema: {
      summary: 'The key ring, and legacy keys',
      querystring: Type.Object({ all: Type.Optional(Type.Boolean({ description: 'Also keys that are gone' })) }, { additionalProperties: false }),
      response: { 200: KeyList }
    }
  }, async request => listKeys({ ring: ring.all(), legacy: legacyRing.all(), uses: await readUses() }, policy, clock(), request.query.all ?? false))

  app.post('/keys/rotate', {
    config: { needs: 'keys:write', action: 'key.rotated' },
    schema: { summary: 'Rotate the signing key', querystring: DryRunQuery, body: RotateRequest, response: { 200: RotationSchema } }
  }, async request => {
    const wish = wishOf(request.body)
    if (request.query.dryRun) {
      const { revokes, ...rotation } = await rotator.preview.rotate(wish)
      return { dryRun: true as const, ...rotation, effectiveAt: rotation.effectiveAt.toISOString(), touches: touchesOf(revokes, await readUses(), null) }
    }
    const rotation = await rotator.rotate(wish, byOf(request))
    if (wish.kind === 'emergency') metrics.revoked('key')
    return { ...rotation, effectiveAt: rotation.effectiveAt.toISOString() }
  })

  app.post('/keys/:kid/revoke', {
    config: { needs: 'keys:write', action: 'key.revoked', fails: ['not_found'] },
    schema: {
      summary: 'Revoke a key and every token that it signed',
      params: Type.Object({ kid: Type.String() }),
      querystring: DryRunQuery,
      body: Type.Object({ reason: Reason }, { additionalProperties: false }),
      response: { 200: OneKey }
    }
  }, async request => {
    const { params: { kid }, body: { reason }, query: { dryRun = false } } = request
    const isNew = [...ring.all(), ...legacyRing.all()].some(key => key.kid === kid && key.revokedAt === null)
    const known = await keyOffice.revoke(kid, reason, byOf(request), dryRun)
    if (!known) throw new Problem('not_found', 'There is no key of this kid')
    if (isNew && !dryRun) metrics.revoked('key')
    return await show(known, dryRun)
  })

  app.post('/keys/import', {
    config: { needs: 'full', action: 'key.imported', fails: ['conflict'] },
    schema: {
      summary: 'Import a key: into the ring with its private half, or as a legacy key with the issuer of its tokens',
      querystring: DryRunQuery,
      body: ImportRequestSchema,
      response: { 200: OneKey, 201: OneKey }
    }
  }, async (request, reply) => {
    const { dryRun = false } = request.query
    const { verifiesUntil, ...given } = request.body
    const imported = await keyOffice.import({ ...given, ...(verifiesUntil !== undefined && { verifiesUntil: new Date(verifiesUntil) }) }, byOf(request), dryRun).catch(toProblem)
    const known = assertTaken(imported)
    return await reply.code(dryRun ? 200 : 201).send(await show(known, dryRun))
  })
}

function wishOf ({ force = false, emergency = false, reason }: Static<typeof RotateRequest>): RotationWish {
  if (!emergency) return { kind: force ? 'forced' : 'scheduled' }
  if (reason === undefined) throw invalid('reason', 'is missing: an emergency rotation revokes the key that signed until now')
  return { kind: 'emergency', reason }
}

function toProblem (error: unknown): never {
  throw error instanceof KeyRefused ? invalid(error.field, error.message) : error
}

function assertTaken (imported: Imported): KnownKey {
  if (imported.kind === 'kid taken') throw new Problem('conflict', 'There is a key of this kid already')
  if (imported.kind === 'refused') throw invalid(imported.field, imported.why)
  return imported
}
