/**
 * Calls to rotate that overlap rotate once, whichever replicas they reach. When another key begins to sign because somebody
 * called for it, each call that comes in the next moment takes that for its own, and none is answered before the moment is over:
 * both by the database's clock, so that whoever calls again when he has his answer is never taken to have overlapped with it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { turnAfter, type RotationPolicy } from './rotation-plan.ts'
import { pendingKeysAt, signingKeyAt, type SigningKey } from './signing-key.ts'

export interface Overlap {
  /** How long the moment is, in milliseconds: what a call may take from whoever makes it to a replica. */
  readonly ms: number
  /** The clock that all replicas go by, asked anew: never later than it is when the answer is there. */
  readonly askTime: () => Promise<Date>
  readonly pause?: (milliseconds: number) => Promise<unknown>
}

/**
 * The key that signed when the overlapping calls began, which is what a call that came at `arrivedAt` wants to be rid of.
 * A turn that came as planned was nobody's call.
 */
export function keyToReplace (ring: readonly SigningKey[], arrivedAt: Date, overlapMs: number, policy: RotationPolicy): SigningKey | undefined {
  const since = new Date(arrivedAt.getTime() - overlapMs)
  let key = signingKeyAt(ring, arrivedAt) ?? pendingKeysAt(ring, arrivedAt)[0] // of which the first is the next to sign
  for (;;) {
    const predecessor = key && key.signsFrom > since ? predecessorOf(key, ring) : undefined
    if (!key || !predecessor || turnAfter(predecessor, key.publishedAt, policy).getTime() === key.signsFrom.getTime()) return key
    key = predecessor
  }
}

/** Waits until calls that come from now on do not overlap any more with what was done at `doneAt`. */
export async function awaitOverlap (doneAt: Date, { ms, askTime, pause = sleep }: Overlap): Promise<void> {
  const over = doneAt.getTime() + ms
  for (;;) {
    const now = await askTime().catch(() => null)
    const left = now === null ? 0 : over - now.getTime() // without the database nobody can rotate
    if (left <= 0 || left > 2 * ms) return // a clock that was set back is not waited for
    await pause(Math.ceil(left))
  }
}

/** The key that handed over to `key`. One that was revoked while it waited never signed. */
function predecessorOf (key: SigningKey, ring: readonly SigningKey[]): SigningKey | undefined {
  return ring.find(({ signsFrom, signsUntil, revokedAt }) =>
    signsFrom < key.signsFrom && signsUntil?.getTime() === key.signsFrom.getTime() && (revokedAt === null || revokedAt >= signsUntil))
}
