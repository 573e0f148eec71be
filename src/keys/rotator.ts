/**
 * Carries the rotation plan out: makes keys, writes the ring, and wakes when the plan has something to do.
 * It decides nothing: see rotation-plan.ts. Losing a race to another process is no error, the plan is made anew.
 */
import { SYSTEM, type AuditDraft, type By } from '../telemetry/audit.ts'
import type { KeyRing } from './key-ring.ts'
import type { KeyStore } from './key-store.ts'
import type { KeyVault } from './key-vault.ts'
import { awaitOverlap, keyToReplace, type Overlap } from './overlap.ts'
import { abandon, enlist, needsKey, nextPlanAt, planStep, revoke, rotate, settle, type NewKey, type RotationPolicy } from './rotation-plan.ts'
import { pendingKeysAt, signingKeyAt, type Clock, type SigningKey } from './signing-key.ts'
import { createSpareKeys } from './spare-keys.ts'

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
  /**
   * Calls that overlap rotate once, whichever replica they reach, and all see the same result: see overlap.ts.
   */
  rotate: (wish: RotationWish, by: By) => Promise<Rotation>
  /** @returns the key as it is afterwards, `null` if there is none of that kid */
  revoke: (kid: string, reason: string, by: By) => Promise<SigningKey | null>
  /** Puts new keys in the place of those that cannot be opened. What they have signed stays good. */
  abandon: (kids: readonly string[], reason: string, by: By) => Promise<Rotation>
  /** Lets a key that was made elsewhere sign next. @returns `null`, and changes nothing, if the ring has its kid */
  enlist: (key: NewKey, by: By) => Promise<SigningKey | null>
  /** What the calls would answer, and nothing changes. */
  preview: {
    rotate: (wish: RotationWish) => Promise<Rotation & { revokes: string | null }>
    revoke: (kid: string, reason: string) => Promise<SigningKey | null>
    enlist: (key: NewKey) => Promise<SigningKey | null>
  }
  /** Settles whenever the plan has something to do, and keeps a key ready for the next call. @returns a function that ends it */
  start: (onFailure: (error: unknown) => void) => () => void
}

/** All of a change sees one moment: a millisecond between two looks at the clock would undo what the first has done. */
type TimedChange = (ring: readonly SigningKey[], now: Date) => readonly SigningKey[]
type Events = (before: readonly SigningKey[], after: readonly SigningKey[]) => AuditDraft[]

/** A sleeping machine's timers are late: look at the plan at least this often. */
const LONGEST_WAIT_MS = 30_000
const RETRY_MS = 1_000

/**
 * @param parts.reload brings `ring` up to the store after a change; not `ring.refresh` itself where reads may overtake each other
 * @param parts.overlap none by default: only calls to this process overlap, while the first of them has no answer
 */
export function createRotator (parts: { ring: KeyRing, store: KeyStore, vault: KeyVault, policy: RotationPolicy, clock: Clock, reload?: () => Promise<void>, overlap?: Overlap }): Rotator {
  const { ring, store, vault, policy, clock, reload = ring.refresh, overlap = { ms: 0, askTime: async () => clock() } } = parts
  /** What a preview shows is what the call then publishes. */
  const spares = createSpareKeys(vault)

  /** Applies `change`, settles the ring, and publishes as many new keys as that takes, all in one transaction. */
  async function changeRing (change: TimedChange, events: Events = () => []): Promise<readonly SigningKey[]> {
    for (;;) {
      const material = await supply(await store.read(), change)
      let sufficed = false as boolean // the closure below assigns it
      const after = await store.update(latestRing => {
        const now = clock()
        const settled = applied(latestRing, change, material, now)
        sufficed = !needsKey(settled, policy, now)
        return sufficed ? settled : latestRing
      }, (before, settled) => [...events(before, settled), ...publications(before, settled)])
      if (!sufficed) continue
      spares.drop(new Set(after.map(key => key.kid)))
      await reload()
      return after
    }
  }

  async function previewRing (change: TimedChange): Promise<readonly SigningKey[]> {
    const before = await store.read()
    return applied(before, change, await supply(before, change), clock())
  }

  /** `change` meets a settled ring: after a sleep there may be no pending key to promote. */
  function applied (keys: readonly SigningKey[], change: TimedChange, supplied: readonly NewKey[], now: Date): readonly SigningKey[] {
    const material = supplied.filter(made => findKey(keys, made.kid) === null) // one may be there by a write that was never acknowledged
    return settle(change(settle(keys, material, policy, now), now), material, policy, now)
  }

  /** As many new keys as the change would publish, and those that were left over. */
  async function supply (keys: readonly SigningKey[], change: TimedChange): Promise<readonly NewKey[]> {
    while (needsKey(applied(keys, change, spares.all(), clock()), policy, clock())) await spares.makeOne()
    return spares.all()
  }

  function rotation (wish: RotationWish, before: string | undefined): TimedChange {
    return (keys, now) => {
      if (wish.kind === 'emergency') return revokeOnce(keys, before, wish.reason, now)
      return signingKeyAt(keys, now)?.kid === before ? rotate(keys, wish.kind === 'forced', policy, now) : keys
    }
  }

  const revocation = (kid: string, reason: string): TimedChange => (keys, now) => revokeOnce(keys, kid, reason, now)
  const enlistment = (key: NewKey): TimedChange => (keys, now) => keys.some(({ kid }) => kid === key.kid) ? keys : enlist(keys, key, policy, now)

  async function rotateOnce (wish: RotationWish, by: By): Promise<Rotation> {
    const [arrivedAt, known] = await Promise.all([overlap.askTime(), store.read()])
    const before = keyToReplace(known, arrivedAt, overlap.ms, policy)?.kid
    const after = await changeRing(rotation(wish, before), (ringBefore, ringAfter) => {
      const isOurs = wish.kind === 'emergency' ? isUnrevoked(ringBefore, before) : signingKeyAt(ringBefore, clock())?.kid === before
      if (!isOurs) return []
      const { effectiveAt, signing, next } = describeRotation(ringAfter, before, clock())
      return [{ ...by, action: 'key.rotated', target: signing === before ? next : signing, detail: { ...wish, from: before, effectiveAt } }]
    })
    const done = describeRotation(after, before, clock())
    await awaitOverlap(handedOverAt(after, before, clock()) ?? clock(), overlap)
    await reload().catch(() => { /* it is done, and what it did is known */ })
    // What others have done meanwhile counts too, unless it is half done: by a clock that lags their key signs a moment later.
    return isSettledAt(ring.all(), clock()) ? describeRotation(ring.all(), before, clock()) : done
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
      const after = await changeRing(revocation(kid, reason), ringBefore =>
        isUnrevoked(ringBefore, kid) ? [{ ...by, action: 'key.revoked', target: kid, detail: { reason } }] : [])
      const revoked = findKey(after, kid)
      if (revoked?.revokedAt && revoked.signsUntil?.getTime() === revoked.revokedAt.getTime()) await awaitOverlap(revoked.revokedAt, overlap)
      return revoked
    },

    async abandon (kids, reason, by) {
      const after = await changeRing((keys, now) => abandon(keys, kids, reason, now), () => [{ ...by, action: 'key.abandoned', target: null, detail: { kids, reason } }])
      return describeRotation(after, undefined, clock())
    },

    async enlist (key, by) {
      let isNew = false as boolean // the closure below assigns it
      const after = await changeRing(enlistment(key), ringBefore => {
        isNew = findKey(ringBefore, key.kid) === null
        return isNew ? [{ ...by, action: 'key.imported', target: key.kid, detail: { size: key.size } }] : []
      })
      return isNew ? findKey(after, key.kid) : null
    },

    preview: {
      async rotate (wish) {
        const before = signingKeyAt(await store.read(), clock())?.kid
        const after = await previewRing(rotation(wish, before))
        return { ...describeRotation(after, before, clock()), revokes: wish.kind === 'emergency' ? before ?? null : null }
      },
      revoke: async (kid, reason) => findKey(await previewRing(revocation(kid, reason)), kid),
      enlist: async key => findKey(await store.read(), key.kid) ? null : findKey(await previewRing(enlistment(key)), key.kid)
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
      const endSpares = spares.start(onFailure)
      return () => {
        stopped = true
        endSpares()
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

function findKey (keys: readonly SigningKey[], kid: string): SigningKey | null {
  return keys.find(key => key.kid === kid) ?? null
}

/** The plan publishes keys by itself, or because a call made room for one. */
function publications (before: readonly SigningKey[], after: readonly SigningKey[]): AuditDraft[] {
  const known = new Set(before.map(key => key.kid))
  return after.filter(key => !known.has(key.kid) && key.origin === 'generated')
    .map(key => ({ ...SYSTEM, action: 'key.published', target: key.kid, detail: { signsFrom: key.signsFrom } }))
}

/** When the key that signs took over from another than itself, `null` if that is what signed before. */
function handedOverAt (ring: readonly SigningKey[], before: string | undefined, now: Date): Date | null {
  const signing = signingKeyAt(ring, now)
  return signing && signing.kid !== before ? signing.signsFrom : null
}

function isSettledAt (ring: readonly SigningKey[], now: Date): boolean {
  return signingKeyAt(ring, now) !== undefined && pendingKeysAt(ring, now).length > 0
}

function describeRotation (ring: readonly SigningKey[], before: string | undefined, now: Date): Rotation {
  const signing = signingKeyAt(ring, now)
  const next = pendingKeysAt(ring, now)[0]
  if (!signing || !next) throw new Error('the ring is not settled')
  return { effectiveAt: signing.kid === before ? next.signsFrom : signing.signsFrom, signing: signing.kid, next: next.kid }
}
