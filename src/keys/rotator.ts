/**
 * Carries the rotation plan out: makes keys, writes the ring, and wakes when the plan has something to do.
 * It decides nothing: see rotation-plan.ts. Losing a race to another process is no error, the plan is made anew.
 */
import type { KeyRing } from './key-ring.ts'
import { SYSTEM, type AuditDraft, type By } from '../telemetry/audit.ts'
import type { KeyStore } from './key-store.ts'
import type { KeyVault } from './key-vault.ts'
import { needsKey, nextPlanAt, planStep, revoke, rotate, settle, type NewKey, type RotationPolicy } from './rotation-plan.ts'
import { pendingKeysAt, signingKeyAt, type Clock, type SigningKey } from './signing-key.ts'

/** Kids as they are right after the call; `effectiveAt` is when the rotation takes hold. */
export interface Rotation {
  effectiveAt: Date
  signing: string
  next: string
}

export type RotationWish = { kind: 'scheduled' | 'forced' } | { kind: 'emergency', reason: string }

export interface Rotator {
  /** Supplies what the ring lacks now. Throws if the store cannot be written. */
  settle: () => Promise<void>
  /** Calls that overlap rotate once; all see the same result. */
  rotate: (wish: RotationWish, by: By) => Promise<Rotation>
  /** @returns the key as it is afterwards, `null` if there is none of that kid */
  revoke: (kid: string, reason: string, by: By) => Promise<SigningKey | null>
  /** Settles whenever the plan has something to do. @returns a function that ends it */
  start: (onFailure: (error: unknown) => void) => () => void
}

/** All of a change sees one moment: a millisecond between two looks at the clock would undo what the first has done. */
type TimedChange = (ring: readonly SigningKey[], now: Date) => readonly SigningKey[]

/** A sleeping machine's timers are late: look at the plan at least this often. */
const LONGEST_WAIT_MS = 30_000
const RETRY_MS = 1_000

/** @param parts.reload brings `ring` up to the store after a change; not `ring.refresh` itself where reads may overtake each other */
export function createRotator (parts: { ring: KeyRing, store: KeyStore, vault: KeyVault, policy: RotationPolicy, clock: Clock, reload?: () => Promise<void> }): Rotator {
  const { ring, store, vault, policy, clock, reload = ring.refresh } = parts

  /** Applies `change`, settles the ring, and publishes as many new keys as that takes, all in one transaction. */
  async function changeRing (change: TimedChange, events: (before: readonly SigningKey[], after: readonly SigningKey[]) => AuditDraft[] = () => []): Promise<readonly SigningKey[]> {
    let material: readonly NewKey[] = []
    for (;;) {
      material = await generate(countMissing(await store.read(), change), material)
      let sufficed = false as boolean // the closure below assigns it
      const after = await store.update(latestRing => {
        const now = clock()
        const settled = applied(latestRing, change, [...material], now)
        sufficed = !needsKey(settled, policy, now)
        return sufficed ? settled : latestRing
      }, (before, settled) => [...events(before, settled), ...publications(before, settled)])
      if (!sufficed) continue
      await reload()
      return after
    }
  }

  async function generate (count: number, held: readonly NewKey[]): Promise<NewKey[]> {
    const made = [...held]
    while (made.length < count) made.push(await vault.generate())
    return made
  }

  /** `change` meets a settled ring: after a sleep there may be no pending key to promote. */
  function applied (keys: readonly SigningKey[], change: TimedChange, material: NewKey[], now: Date): readonly SigningKey[] {
    return settle(change(settle(keys, material, policy, now), now), material, policy, now)
  }

  /** How many keys the change would publish: tried with stand-ins, since only their number matters. */
  function countMissing (keys: readonly SigningKey[], change: TimedChange): number {
    const standIns = [1, 2, 3, 4].map(number => ({ kid: `stand-in ${number}`, size: 0, origin: 'generated', publicKey: { n: '', e: '' }, sealedPrivateKey: '' } as const))
    const left = [...standIns]
    applied(keys, change, left, clock())
    return standIns.length - left.length
  }

  async function rotateOnce (wish: RotationWish, by: By): Promise<Rotation> {
    const before = signingKeyAt(await store.read(), clock())?.kid
    const after = await changeRing((keys, now) => {
      if (wish.kind === 'emergency') return revokeOnce(keys, before, wish.reason, now)
      return signingKeyAt(keys, now)?.kid === before ? rotate(keys, wish.kind === 'forced', policy, now) : keys
    }, (ringBefore, ringAfter) => {
      const isOurs = wish.kind === 'emergency' ? isUnrevoked(ringBefore, before) : signingKeyAt(ringBefore, clock())?.kid === before
      if (!isOurs) return []
      const { effectiveAt, signing, next } = describeRotation(ringAfter, before, clock())
      return [{ ...by, action: 'key.rotated', target: signing === before ? next : signing, detail: { ...wish, from: before, effectiveAt } }]
    })
    return describeRotation(after, before, clock())
  }

  /** Rotations that somebody waits for, by what they wish: a call that comes meanwhile shares the answer. */
  const underWay = new Map<RotationWish['kind'], Promise<Rotation>>()

  return {
    async settle () {
      if (planStep(ring.all(), policy, clock()) !== null) await changeRing(keys => keys)
    },

    async rotate (wish, by) {
      const shared = underWay.get(wish.kind) ?? rotateOnce(wish, by).finally(() => { underWay.delete(wish.kind) })
      underWay.set(wish.kind, shared)
      return await shared
    },

    async revoke (kid, reason, by) {
      const after = await changeRing((keys, now) => revokeOnce(keys, kid, reason, now), ringBefore =>
        isUnrevoked(ringBefore, kid) ? [{ ...by, action: 'key.revoked', target: kid, detail: { reason } }] : [])
      return after.find(key => key.kid === kid) ?? null
    },

    start (onFailure) {
      let timer: NodeJS.Timeout | undefined
      let stopped = false
      const wait = (milliseconds: number): void => {
        if (!stopped) timer = setTimeout(() => { void wake() }, milliseconds).unref()
      }
      const wake = async (): Promise<void> => {
        try {
          await this.settle()
          const next = nextPlanAt(ring.all(), policy, clock())
          wait(Math.min(LONGEST_WAIT_MS, next ? Math.max(1, next.getTime() - clock().getTime()) : LONGEST_WAIT_MS))
        } catch (error) {
          onFailure(error)
          wait(RETRY_MS)
        }
      }
      void wake()
      return () => {
        stopped = true
        clearTimeout(timer)
      }
    }
  }
}

/** The first revocation of a key stays: when it was, and why. */
function revokeOnce (keys: readonly SigningKey[], kid: string | undefined, reason: string, now: Date): readonly SigningKey[] {
  return kid !== undefined && isUnrevoked(keys, kid) ? revoke(keys, kid, reason, now) : keys
}

function isUnrevoked (keys: readonly SigningKey[], kid: string | undefined): boolean {
  return keys.some(key => key.kid === kid && key.revokedAt === null)
}

/** The plan publishes keys by itself, or because a call made room for one. */
function publications (before: readonly SigningKey[], after: readonly SigningKey[]): AuditDraft[] {
  const known = new Set(before.map(key => key.kid))
  return after.filter(key => !known.has(key.kid)).map(key => ({ ...SYSTEM, action: 'key.published', target: key.kid, detail: { signsFrom: key.signsFrom } }))
}

function describeRotation (ring: readonly SigningKey[], before: string | undefined, now: Date): Rotation {
  const signing = signingKeyAt(ring, now)
  const next = pendingKeysAt(ring, now)[0]
  if (!signing || !next) throw new Error('the ring is not settled')
  return { effectiveAt: signing.kid === before ? next.signsFrom : signing.signsFrom, signing: signing.kid, next: next.kid }
}
