/**
 * Decides when a key signs. Pure: a function of ring, policy and now.
 *
 * The line of keys, oldest first: retired ones, one that signs, one or two that wait. Each hands over to the next
 * at one date, so that exactly one signs at any moment. `planStep` names what the ring lacks; `settle` supplies it.
 * Who carries the plan out, and when, is the rotator's business.
 */
import { addSeconds, latest, pendingKeysAt, signingKeyAt, stateAt, type SigningKey } from './signing-key.ts'

/** All lengths in seconds. */
export interface RotationPolicy {
  readonly rotateEverySeconds: number
  readonly publishAheadSeconds: number
  readonly maxTokenTtlSeconds: number
  readonly clockToleranceSeconds: number
  readonly maxStalenessSeconds: number
  /** The `iss` that keys sign under from now on. */
  readonly issuer: string
}

/** Key material that waits for its place in the ring. */
export type NewKey = Pick<SigningKey, 'kid' | 'size' | 'origin' | 'publicKey' | 'sealedPrivateKey'>

interface Turn {
  kid: string
  signsFrom: Date
}

export type Step =
  | { do: 'publish', signsFrom: Date, reason: 'the ring has no key' | 'no key is pending' | 'the pending key signs soon' }
  | { do: 'promote', kid: string, reason: 'no key signs' }
  | { do: 'reschedule', turns: readonly Turn[], reason: 'the policy gives other turns' }
  | { do: 'extend', kid: string, verifiesUntil: Date, reason: 'its last token lives longer' }
  | { do: 'adopt', kid: string, issuer: string, reason: 'the issuer is new to the key' }
  | { do: 'erase', kid: string, reason: 'it signs no more' }

/** @returns the next thing that the ring lacks at `now`, or `null` if it lacks nothing */
export function planStep (ring: readonly SigningKey[], policy: RotationPolicy, now: Date): Step | null {
  const signing = signingKeyAt(ring, now)
  const pending = pendingKeysAt(ring, now)
  return planSigner(signing, pending, now) ??
    planSuccessor(signing, pending, policy, now) ??
    planDates(signing, pending, policy, now) ??
    planIssuer(signing, pending, policy) ??
    planErasure(ring, policy, now)
}

/**
 * Brings the ring to where the plan has nothing more to say, or until `material` is used up.
 * Takes from `material` what it publishes.
 */
export function settle (ring: readonly SigningKey[], material: NewKey[], policy: RotationPolicy, now: Date): readonly SigningKey[] {
  const step = planStep(ring, policy, now)
  if (step === null) return ring
  if (step.do !== 'publish') return settle(apply(ring, step, now), material, policy, now)
  const key = material.shift()
  return key ? settle(publish(ring, key, step.signsFrom, policy, now), material, policy, now) : ring
}

/** @returns true if `settle` would have to publish a key that does not exist yet */
export function needsKey (ring: readonly SigningKey[], policy: RotationPolicy, now: Date): boolean {
  const settled = settle(ring, [], policy, now)
  return planStep(settled, policy, now)?.do === 'publish'
}

/** The next pending key signs as soon as it may: at once if `force`, else when it has been published long enough. */
export function rotate (ring: readonly SigningKey[], force: boolean, policy: RotationPolicy, now: Date): readonly SigningKey[] {
  const next = pendingKeysAt(ring, now)[0]
  if (!next) return ring
  const allowedFrom = addSeconds(next.publishedAt, policy.publishAheadSeconds)
  const signsFrom = force || allowedFrom < now ? now : allowedFrom
  return signsFrom.getTime() === next.signsFrom.getTime() ? ring : schedule(ring, [{ kid: next.kid, signsFrom }], now)
}

/** Ends a key at once, whatever its state. Its private half goes with it. */
export function revoke (ring: readonly SigningKey[], kid: string, reason: string, now: Date): readonly SigningKey[] {
  const revoked = replace(ring, kid, key => ({
    ...key,
    signsUntil: stateAt(key, now) === 'signing' ? now : key.signsUntil,
    revokedAt: now,
    revokedReason: reason,
    sealedPrivateKey: null
  }))
  return linked(revoked, lineAt(ring, now).filter(other => other !== kid))
}

/**
 * Takes keys out of the line whose private halves can no longer be opened. One that has signed goes on verifying, as if its time
 * were over; one that was to sign is revoked. Whoever settles the ring then puts new ones in their place.
 */
export function abandon (ring: readonly SigningKey[], kids: readonly string[], reason: string, now: Date): readonly SigningKey[] {
  return kids.reduce((keys, kid) => {
    const key = keys.find(each => each.kid === kid)
    if (!key) return keys
    if (stateAt(key, now) === 'pending') return revoke(keys, kid, reason, now)
    return replace(keys, kid, each => ({ ...each, signsUntil: stateAt(each, now) === 'signing' ? now : each.signsUntil, sealedPrivateKey: null }))
  }, ring)
}

/** Puts a key that was made elsewhere into the line as the one that signs next, as soon as verifiers can hold it. */
export function enlist (ring: readonly SigningKey[], key: NewKey, policy: RotationPolicy, now: Date): readonly SigningKey[] {
  const signing = signingKeyAt(ring, now)
  const waiting = pendingKeysAt(ring, now)
  const due = waiting[0]?.signsFrom ?? (signing ? turnAfter(signing, now, policy) : now)
  const newest = published(key, due, policy, now)
  const turns = turnsOf(signing, [newest, ...waiting], policy, now)
  const line = [...(signing ? [signing.kid] : []), ...turns.map(turn => turn.kid)]
  return linked(withTurns([...ring, newest], turns), line)
}

/** When the plan will next have something to do, if nobody interferes. */
export function nextPlanAt (ring: readonly SigningKey[], policy: RotationPolicy, now: Date): Date | null {
  const moments = [
    ...pendingKeysAt(ring, now).flatMap(key => [addSeconds(key.signsFrom, -leadSeconds(policy)), key.signsFrom]),
    ...ring.filter(key => key.sealedPrivateKey !== null && key.signsUntil !== null).map(key => erasableFrom(key.signsUntil ?? now, policy))
  ].filter(moment => moment > now)
  return moments.length > 0 ? new Date(Math.min(...moments.map(moment => moment.getTime()))) : null
}

function planSigner (signing: SigningKey | undefined, pending: SigningKey[], now: Date): Step | null {
  if (signing) return null
  return pending[0]
    ? { do: 'promote', kid: pending[0].kid, reason: 'no key signs' }
    : { do: 'publish', signsFrom: now, reason: 'the ring has no key' }
}

function planSuccessor (signing: SigningKey | undefined, pending: SigningKey[], policy: RotationPolicy, now: Date): Step | null {
  const last = pending.at(-1) ?? signing
  if (!last || pending.length > 1) return null
  const waits = pending[0] && now < addSeconds(pending[0].signsFrom, -leadSeconds(policy))
  if (waits) return null
  return {
    do: 'publish',
    signsFrom: turnAfter(last, now, policy),
    reason: pending[0] ? 'the pending key signs soon' : 'no key is pending'
  }
}

function planDates (signing: SigningKey | undefined, pending: SigningKey[], policy: RotationPolicy, now: Date): Step | null {
  const turns = turnsOf(signing, pending, policy, now)
  if (turns.some(({ signsFrom }, place) => signsFrom.getTime() !== pending[place]?.signsFrom.getTime())) {
    return { do: 'reschedule', turns, reason: 'the policy gives other turns' }
  }
  for (const key of signing ? [signing, ...pending] : pending) {
    const verifiesUntil = lastTokenOver(key, policy)
    if (key.verifiesUntil < verifiesUntil) return { do: 'extend', kid: key.kid, verifiesUntil, reason: 'its last token lives longer' }
  }
  return null
}

/**
 * When the keys that wait may sign, in their order: the first as early as an admin or the policy wants it, but not before
 * verifiers can hold it; each other one a whole period after the one before it.
 */
function turnsOf (signing: SigningKey | undefined, [first, ...others]: SigningKey[], policy: RotationPolicy, now: Date): Turn[] {
  if (!first) return []
  const allowedFrom = addSeconds(first.publishedAt, policy.publishAheadSeconds)
  const due = signing ? latest(turnAfter(signing, first.publishedAt, policy), now) : first.signsFrom
  const turns = [{ kid: first.kid, signsFrom: latest(allowedFrom, first.signsFrom < due ? first.signsFrom : due) }]
  for (const { kid, publishedAt } of others) {
    turns.push({ kid, signsFrom: turnAfter(turns.at(-1) ?? first, publishedAt, policy) })
  }
  return turns
}

function planIssuer (signing: SigningKey | undefined, pending: SigningKey[], policy: RotationPolicy): Step | null {
  const lacking = [...(signing ? [signing] : []), ...pending].find(key => !key.issuers.includes(policy.issuer))
  return lacking ? { do: 'adopt', kid: lacking.kid, issuer: policy.issuer, reason: 'the issuer is new to the key' } : null
}

function planErasure (ring: readonly SigningKey[], policy: RotationPolicy, now: Date): Step | null {
  const over = ring.find(key => key.sealedPrivateKey !== null && key.signsUntil !== null && erasableFrom(key.signsUntil, policy) <= now)
  return over ? { do: 'erase', kid: over.kid, reason: 'it signs no more' } : null
}

/** A replica that lags may sign with a key a little longer than its date says. */
function erasableFrom (signsUntil: Date, policy: RotationPolicy): Date {
  return addSeconds(signsUntil, policy.maxStalenessSeconds + policy.clockToleranceSeconds)
}

/** How long before a key signs its own successor is published: there is then a pending key at every moment. */
function leadSeconds (policy: RotationPolicy): number {
  return Math.min(3_600, policy.rotateEverySeconds / 10)
}

/** When a key that was published at `publishedAt` follows its predecessor, if nobody interferes. */
export function turnAfter (predecessor: Pick<SigningKey, 'signsFrom'>, publishedAt: Date, policy: RotationPolicy): Date {
  return latest(addSeconds(predecessor.signsFrom, policy.rotateEverySeconds), addSeconds(publishedAt, policy.publishAheadSeconds))
}

/** The moment from which no token of `key` can be alive, if it hands over as planned. */
function lastTokenOver (key: Pick<SigningKey, 'signsFrom' | 'signsUntil'>, policy: RotationPolicy): Date {
  const signsUntil = key.signsUntil ?? addSeconds(key.signsFrom, policy.rotateEverySeconds)
  return addSeconds(signsUntil, policy.maxTokenTtlSeconds + policy.clockToleranceSeconds)
}

function apply (ring: readonly SigningKey[], step: Exclude<Step, { do: 'publish' }>, now: Date): readonly SigningKey[] {
  switch (step.do) {
    case 'promote': return schedule(ring, [{ kid: step.kid, signsFrom: now }], now)
    case 'reschedule': return schedule(ring, step.turns, now)
    case 'extend': return replace(ring, step.kid, key => ({ ...key, verifiesUntil: step.verifiesUntil }))
    case 'adopt': return replace(ring, step.kid, key => ({ ...key, issuers: [...key.issuers, step.issuer] }))
    case 'erase': return replace(ring, step.kid, key => ({ ...key, sealedPrivateKey: null }))
  }
}

function publish (ring: readonly SigningKey[], key: NewKey, signsFrom: Date, policy: RotationPolicy, now: Date): readonly SigningKey[] {
  return linked([...ring, published(key, signsFrom, policy, now)], [...lineAt(ring, now), key.kid])
}

function published (key: NewKey, signsFrom: Date, policy: RotationPolicy, now: Date): SigningKey {
  return {
    ...key,
    issuers: [policy.issuer],
    publishedAt: now,
    signsFrom,
    signsUntil: null,
    verifiesUntil: lastTokenOver({ signsFrom, signsUntil: null }, policy),
    revokedAt: null,
    revokedReason: null
  }
}

function schedule (ring: readonly SigningKey[], turns: readonly Turn[], now: Date): readonly SigningKey[] {
  return linked(withTurns(ring, turns), lineAt(ring, now))
}

function withTurns (ring: readonly SigningKey[], turns: readonly Turn[]): readonly SigningKey[] {
  return turns.reduce((keys, { kid, signsFrom }) => replace(keys, kid, key => ({ ...key, signsFrom })), ring)
}

/** The kids of the key that signs and of those that wait, in their order. */
function lineAt (ring: readonly SigningKey[], now: Date): string[] {
  const signing = signingKeyAt(ring, now)
  return [...(signing ? [signing] : []), ...pendingKeysAt(ring, now)].map(key => key.kid)
}

/** Links the line by the dates that its keys have now: each signs until the next one does, the last one until it has a successor. */
function linked (ring: readonly SigningKey[], kids: readonly string[]): readonly SigningKey[] {
  const line = kids.flatMap(kid => ring.filter(key => key.kid === kid)).sort((a, b) => a.signsFrom.getTime() - b.signsFrom.getTime())
  return ring.map(key => {
    const place = line.indexOf(key)
    return place === -1 ? key : { ...key, signsUntil: line[place + 1]?.signsFrom ?? null }
  })
}

function replace (ring: readonly SigningKey[], kid: string, change: (key: SigningKey) => SigningKey): readonly SigningKey[] {
  return ring.map(key => key.kid === kid ? change(key) : key)
}
