/**
 * Carries the rotation plan out: makes keys, writes the ring, and wakes when the plan has something to do.
 * It decides nothing: see rotation-plan.ts. Losing a race to another process is no error, the plan is made anew.
 */
import type { KeyRing } from './key-ring.ts'
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
  rotate: (wish: RotationWish) => Promise<Rotation>
  /** @returns the key as it is afterwards, `null` if there is none of that kid */
  revoke: (kid: string, reason: string) => Promise<SigningKey | null>
  /** Settles whenever the plan has something to do. @returns a function that ends it */
  start: (onFailure: (error: unknown) => void) => () => void
}

/** A sleeping machine's timers are late: look at the plan at least this often. */
const LONGEST_WAIT_MS = 30_000
const RETRY_MS = 1_000

export function createRotator (parts: { ring: KeyRing, store: KeyStore, vault: KeyVault, policy: RotationPolicy, clock: Clock }): Rotator {
  const { ring, store, vault, policy, clock } = parts

  type Change = (keys: readonly SigningKey[]) => readonly SigningKey[]

  /** Applies `change`, settles the ring, and publishes as many new keys as that takes, all in one transaction. */
  async function changeRing (change: Change): Promise<readonly SigningKey[]> {
    let material: readonly NewKey[] = []
    for (;;) {
      material = await generate(countMissing(await store.read(), change), material)
      const after = await store.update(latestRing => {
        const now = clock()
        const settled = applied(latestRing, change, [...material], now)
        return needsKey(settled, policy, now) ? latestRing : settled
      })
      if (needsKey(after, policy, clock())) continue
      ring.replace(after)
      return after
    }
  }

  async function generate (count: number, held: readonly NewKey[]): Promise<NewKey[]> {
    const made = [...held]
    while (made.length < count) made.push(await vault.generate())
    return made
  }

  /** `change` meets a settled ring: after a sleep there may be no pending key to promote. */
  function applied (keys: readonly SigningKey[], change: Change, material: NewKey[], now: Date): readonly SigningKey[] {
    return settle(change(settle(keys, material, policy, now)), material, policy, now)
  }

  /** How many keys the change would publish: tried with stand-ins, since only their number matters. */
  function countMissing (keys: readonly SigningKey[], change: Change): number {
    const standIns = [1, 2, 3, 4].map(number => ({ kid: `stand-in ${number}`, size: 0, origin: 'generated', publicKey: { n: '', e: '' }, sealedPrivateKey: '' } as const))
    const left = [...standIns]
    applied(keys, change, left, clock())
    return standIns.length - left.length
  }

  return {
    async settle () {
      if (planStep(ring.all(), policy, clock()) !== null) await changeRing(keys => keys)
    },

    async rotate (wish) {
      const before = signingKeyAt(await store.read(), clock())?.kid
      const after = await changeRing(keys => {
        const now = clock()
        const current = signingKeyAt(keys, now)
        if (!current || current.kid !== before) return keys
        return wish.kind === 'emergency' ? revoke(keys, current.kid, wish.reason, now) : rotate(keys, wish.kind === 'forced', policy, now)
      })
      return describeRotation(after, before, clock())
    },

    async revoke (kid, reason) {
      const after = await changeRing(keys => keys.some(key => key.kid === kid && key.revokedAt === null)
        ? revoke(keys, kid, reason, clock())
        : keys)
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

function describeRotation (ring: readonly SigningKey[], before: string | undefined, now: Date): Rotation {
  const signing = signingKeyAt(ring, now)
  const next = pendingKeysAt(ring, now)[0]
  if (!signing || !next) throw new Error('the ring is not settled')
  return { effectiveAt: signing.kid === before ? next.signsFrom : signing.signsFrom, signing: signing.kid, next: next.kid }
}
