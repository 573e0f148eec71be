/** Rings as the plan makes them, for tests of what works on rings. */
import { settle, type RotationPolicy } from '../../src/keys/rotation-plan.ts'
import { addSeconds, pendingKeysAt, signingKeyAt, type SigningKey } from '../../src/keys/signing-key.ts'
import { newKey } from './memory-key-vault.ts'

export const HOUR = 3_600
export const DAY = 24 * HOUR
export const START = new Date('2026-11-22T10:00:00.000Z')
export const ISSUER = 'https://tokens.example.com'

/** The defaults of the settings. */
export const POLICY: RotationPolicy = {
  rotateEverySeconds: 30 * DAY,
  publishAheadSeconds: DAY,
  maxTokenTtlSeconds: DAY,
  clockToleranceSeconds: 5,
  maxStalenessSeconds: 300,
  issuer: ISSUER
}

/** @param seconds after {@link START} */
export const at = (seconds: number): Date => addSeconds(START, seconds)

/** Settles with as many new keys as it takes, named k1, k2 … by their place in the ring. */
export function settled (ring: readonly SigningKey[], now: Date, policy = POLICY): readonly SigningKey[] {
  return settle(ring, [1, 2, 3].map(number => newKey(`k${ring.length + number}`)), policy, now)
}

/** An empty ring, settled at {@link START}: k1 signs, k2 waits for its turn after a whole period. */
export const freshRing = (policy = POLICY): readonly SigningKey[] => settled([], START, policy)

/** The ring an hour before k1 hands over to k2: k3 waits behind k2. */
export const ringBeforeHandover = (): readonly SigningKey[] => settled(freshRing(), at(30 * DAY - HOUR))

export function keyIn (ring: readonly SigningKey[], kid: string): SigningKey {
  const key = ring.find(candidate => candidate.kid === kid)
  if (!key) throw new Error(`no key ${kid} in the ring`)
  return key
}

/** The kids of the keys that sign, which should be one, and of those that wait. */
export function lineOf (ring: readonly SigningKey[], now: Date): { signing: string | undefined, pending: string[] } {
  return { signing: signingKeyAt(ring, now)?.kid, pending: pendingKeysAt(ring, now).map(key => key.kid) }
}
