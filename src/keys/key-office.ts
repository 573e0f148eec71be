/**
 * Acts on keys of both kinds: those of the ring, and legacy ones. One kid means one key, whichever kind it is of.
 * Takes in keys from elsewhere: with an issuer as a legacy key, of which the public half is kept; without one, into the ring.
 */
import type { KeyObject } from 'node:crypto'
import type { By } from '../telemetry/audit.ts'
import { readImport, type ImportedMaterial } from './key-import.ts'
import type { LegacyKey, LegacyKeyStore, LegacyRing } from './legacy-key.ts'
import type { NewKey } from './rotation-plan.ts'
import type { Rotator } from './rotator.ts'
import { addSeconds, type Clock, type SigningKey } from './signing-key.ts'

export interface ImportRequest {
  privateKey?: string | Buffer | undefined
  publicKey?: string | Buffer | undefined
  kid?: string | undefined
  /** The `iss` of the tokens that it signed: makes it a legacy key. */
  issuer?: string | undefined
  /** Of a legacy key; 90 days from now by default. */
  verifiesUntil?: Date | undefined
}

export type KnownKey = { kind: 'ring', key: SigningKey } | { kind: 'legacy', key: LegacyKey }
export type Imported = KnownKey | { kind: 'refused', field: keyof ImportRequest, why: string } | { kind: 'kid taken' }

export interface KeyOffice {
  /** Throws `KeyRefused`. */
  import: (request: ImportRequest, by: By, dryRun: boolean) => Promise<Imported>
  /** @returns the key as it is afterwards, `null` if there is none of that kid */
  revoke: (kid: string, reason: string, by: By, dryRun: boolean) => Promise<KnownKey | null>
}

const LEGACY_DAYS = 90

export interface KeyOfficeParts {
  rotator: Rotator
  legacyStore: LegacyKeyStore
  legacyRing: LegacyRing
  seal: (kid: string, privateKey: KeyObject) => string
  /** Issuers that no legacy key can have: ours, and those of user pools. */
  isReservedIssuer: (issuer: string) => boolean
  allowDemoKeys: boolean
  clock: Clock
  /** Called after a change of legacy keys, so that it is in force here before it is answered. */
  afterChange: () => Promise<void>
}

/** Verifiers elsewhere hear of it in whole seconds. */
const wholeSecond = (date: Date): Date => new Date(Math.floor(date.getTime() / 1000) * 1000)

export function createKeyOffice (parts: KeyOfficeParts): KeyOffice {
  const { rotator, legacyStore, legacyRing, clock, afterChange } = parts

  async function importLegacy (material: ImportedMaterial, request: ImportRequest, issuer: string, by: By, dryRun: boolean): Promise<Imported> {
    const now = clock()
    if (parts.isReservedIssuer(issuer)) return { kind: 'refused', field: 'issuer', why: 'is ours, or a user pool\'s: a legacy issuer is another server' }
    const verifiesUntil = request.verifiesUntil ?? addSeconds(wholeSecond(now), LEGACY_DAYS * 86_400)
    if (verifiesUntil <= now) return { kind: 'refused', field: 'verifiesUntil', why: 'is over already' }
    const key: LegacyKey = {
      kid: request.kid ?? material.thumbprint,
      size: material.size,
      publicKey: material.publicKey,
      issuer,
      importedAt: now,
      verifiesUntil,
      revokedAt: null,
      revokedReason: null
    }
    if (dryRun) return await isTaken(key.kid) ? { kind: 'kid taken' } : { kind: 'legacy', key }
    const event = { ...by, action: 'key.imported', target: key.kid, detail: { issuer, size: key.size, verifiesUntil } }
    if (!await legacyStore.add(key, event)) return { kind: 'kid taken' }
    await afterChange()
    return { kind: 'legacy', key }
  }

  async function importIntoRing (material: ImportedMaterial, request: ImportRequest, by: By, dryRun: boolean): Promise<Imported> {
    if (!material.privateKey) return { kind: 'refused', field: 'issuer', why: 'is missing: a key without its private half can only verify the tokens of another issuer' }
    if (request.verifiesUntil) return { kind: 'refused', field: 'verifiesUntil', why: 'is for legacy keys: a key of the ring follows the rotation policy' }
    const kid = request.kid ?? material.thumbprint
    if (await isTaken(kid)) return { kind: 'kid taken' }
    const key: NewKey = { kid, size: material.size, origin: 'imported', publicKey: material.publicKey, sealedPrivateKey: parts.seal(kid, material.privateKey) }
    const enlisted = dryRun ? await rotator.preview.enlist(key) : await rotator.enlist(key, by)
    return enlisted ? { kind: 'ring', key: enlisted } : { kind: 'kid taken' }
  }

  const isTaken = async (kid: string): Promise<boolean> => (await legacyStore.read()).some(key => key.kid === kid)

  async function revokeLegacy (kid: string, reason: string, by: By, dryRun: boolean): Promise<KnownKey | null> {
    const known = legacyRing.all().find(key => key.kid === kid) ?? (await legacyStore.read()).find(key => key.kid === kid)
    if (!known) return null
    if (dryRun) return { kind: 'legacy', key: known.revokedAt ? known : { ...known, revokedAt: clock(), revokedReason: reason } }
    const key = await legacyStore.revoke(kid, reason, clock(), { ...by, action: 'key.revoked', target: kid, detail: { reason } })
    await afterChange()
    return key && { kind: 'legacy', key }
  }

  return {
    async import (request, by, dryRun) {
      const material = await readImport(request, parts.allowDemoKeys)
      return request.issuer === undefined
        ? await importIntoRing(material, request, by, dryRun)
        : await importLegacy(material, request, request.issuer, by, dryRun)
    },

    async revoke (kid, reason, by, dryRun) {
      const legacy = await revokeLegacy(kid, reason, by, dryRun)
      if (legacy) return legacy
      const key = dryRun ? await rotator.preview.revoke(kid, reason) : await rotator.revoke(kid, reason, by)
      return key && { kind: 'ring', key }
    }
  }
}
