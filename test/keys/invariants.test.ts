/**
 * Contract 3.2 as properties: whatever happens to a ring, and in whatever order, these things hold at every moment.
 * Two replicas work on one store. What one of them changes, the other hears of when time passes, or when it is told.
 */
import { setImmediate as takeTurns } from 'node:timers/promises'
import fc from 'fast-check'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import t from 'tap'
import type { Bot } from '../../src/bots/bot.ts'
import { draftBot } from '../../src/bots/bot-draft.ts'
import { createKeyRing, type KeyRing } from '../../src/keys/key-ring.ts'
import { nextPlanAt, planStep, revoke, rotate, settle, type RotationPolicy } from '../../src/keys/rotation-plan.ts'
import { createRotator, type Rotation, type RotationWish, type Rotator } from '../../src/keys/rotator.ts'
import { addSeconds, pendingKeysAt, stateAt, type SigningKey } from '../../src/keys/signing-key.ts'
import { SYSTEM } from '../../src/telemetry/audit.ts'
import { createMint, type Mint } from '../../src/tokens/mint.ts'
import { memoryKeyStore } from '../fakes/memory-key-store.ts'
import { memoryKeyVault, newKey } from '../fakes/memory-key-vault.ts'
import { DAY, START } from '../fakes/memory-rings.ts'

type Wish = RotationWish['kind']

type Happening =
  | { happens: 'advance', milliseconds: number, periods: number, awake: boolean }
  | { happens: 'run' | 'catch up' | 'restart', replica: number }
  | { happens: 'rotate', wish: Wish, replica: number }
  | { happens: 'overlap', wish: Wish, calls: number }
  | { happens: 'revoke', place: number, replica: number }
  | { happens: 'mint', ttlSeconds: number, replica: number }
  | { happens: 'change settings', policy: RotationPolicy }

const policies = fc.record({
  rotateEverySeconds: fc.oneof(fc.integer({ min: 20, max: 2_000 }), fc.integer({ min: 20, max: 90 * DAY })),
  ahead: fc.double({ min: 0, max: 0.99, noNaN: true }),
  maxTokenTtlSeconds: fc.oneof(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 90 * DAY })),
  clockToleranceSeconds: fc.constantFrom(0, 5, 60),
  maxStalenessSeconds: fc.constantFrom(1, 300),
  issuer: fc.constantFrom('https://one.example', 'https://two.example', 'https://three.example')
}).map(({ ahead, ...policy }): RotationPolicy => ({ ...policy, publishAheadSeconds: 1 + Math.floor(ahead * (policy.rotateEverySeconds - 1)) }))

const replicas = fc.nat({ max: 1 })
const wishes = fc.constantFrom<Wish>('scheduled', 'forced', 'emergency')
const happenings: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ happens: fc.constant('advance'), milliseconds: fc.oneof(fc.nat({ max: 2_000 }), fc.nat({ max: 2 * DAY * 1000 })), periods: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1.2, noNaN: true }), fc.nat({ max: 12 })), awake: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ happens: fc.constantFrom('run', 'catch up', 'restart'), replica: replicas }) },
  { weight: 3, arbitrary: fc.record({ happens: fc.constant('rotate'), wish: wishes, replica: replicas }) },
  { weight: 1, arbitrary: fc.record({ happens: fc.constant('overlap'), wish: wishes, calls: fc.integer({ min: 2, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ happens: fc.constant('revoke'), place: fc.nat({ max: 20 }), replica: replicas }) },
  { weight: 4, arbitrary: fc.record({ happens: fc.constant('mint'), ttlSeconds: fc.integer({ min: 1, max: 90 * DAY }), replica: replicas }) },
  { weight: 1, arbitrary: fc.record({ happens: fc.constant('change settings'), policy: policies }) }
)

interface Replica { ring: KeyRing, rotator: Rotator, mint: Mint }
interface Token { kid: string, issuer: string, exp: number }

/** Each costs a dozen looks at the ring. */
const MOST_PERIODS_AWAKE = 5

class Broken extends Error {}

function must (holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new Broken(sentence)
}

/** Everything that there is, and what the invariants need to remember of earlier moments. */
class World {
  #now = START.getTime()
  #policy: RotationPolicy
  readonly #store = memoryKeyStore()
  readonly #vault = memoryKeyVault()
  readonly #bot: Bot = draftBot('ingestion-bot', {}, ['metadata-api'], START)
  #replicas: Replica[] = []
  #tokens: Token[] = []
  #lagging = new Set<Replica>()

  #ring: readonly SigningKey[] = []
  #signing: SigningKey | undefined
  #checkedAt = START.getTime()
  /** When each key was last seen to be the one that signs. */
  readonly #signedLastAt = new Map<string, number>()
  readonly #signed = new Set<string>()

  constructor (policy: RotationPolicy) {
    this.#policy = policy
  }

  readonly #clock = (): Date => new Date(this.#now)

  async start (): Promise<void> {
    this.#replicas = [await this.#startReplica(), await this.#startReplica()]
    await this.#catchUp()
    await this.#check({ settled: true, mayJumpTheQueue: true })
  }

  async #startReplica (): Promise<Replica> {
    const ring = createKeyRing(this.#store, this.#clock)
    const rotator = createRotator({ ring, store: this.#store, vault: this.#vault, policy: this.#policy, clock: this.#clock })
    await ring.refresh()
    await rotator.settle()
    const mint = createMint({
      ring,
      rotator,
      vault: this.#vault,
      revocations: { isStale: () => false, isRunRevoked: () => false, notBefore: () => 0 },
      policy: { ...this.#policy, tokenTyp: 'at+jwt', principalDomain: 'example.com', tokenTtlSeconds: this.#policy.maxTokenTtlSeconds },
      clock: this.#clock
    })
    return { ring, rotator, mint }
  }

  #replica (number: number): Replica {
    const replica = this.#replicas[number % this.#replicas.length]
    must(replica !== undefined, 'there are replicas')
    return replica
  }

  async #catchUp (): Promise<void> {
    for (const { ring } of this.#replicas) await ring.refresh()
    this.#lagging.clear()
  }

  #changedBy (replica: Replica): void {
    this.#lagging = new Set(this.#replicas.filter(other => other !== replica))
  }

  async happen (happening: Happening): Promise<void> {
    switch (happening.happens) {
      case 'advance': {
        const periodMs = this.#policy.rotateEverySeconds * 1000
        const lengthMs = happening.milliseconds + Math.round(happening.periods * periodMs)
        if (happening.awake) await this.#live(this.#now + Math.min(lengthMs, MOST_PERIODS_AWAKE * periodMs))
        else await this.#sleep(this.#now + lengthMs)
        break
      }
      case 'run':
        await this.#replica(happening.replica).ring.refresh()
        await this.#replica(happening.replica).rotator.settle()
        this.#changedBy(this.#replica(happening.replica))
        await this.#check({ settled: true })
        break
      case 'catch up':
        await this.#catchUp()
        await this.#check({})
        break
      case 'restart':
        this.#replicas[happening.replica] = await this.#startReplica()
        this.#changedBy(this.#replica(happening.replica))
        await this.#check({ settled: true })
        break
      case 'rotate':
        await this.#rotate(happening.wish, [this.#replica(happening.replica)])
        break
      case 'overlap':
        await this.#rotate(happening.wish, Array.from({ length: happening.calls }, (_, number) => this.#replica(number)))
        break
      case 'revoke':
        await this.#revoke(happening.place, this.#replica(happening.replica))
        break
      case 'mint':
        await this.#mint(happening.ttlSeconds, this.#replica(happening.replica))
        break
      case 'change settings':
        await this.#changeSettings(happening.policy)
        break
    }
  }

  /** Nothing runs until `to`: a sleeping machine, a stopped process. */
  async #sleep (to: number): Promise<void> {
    const slept = to - this.#now
    this.#now = to
    if (slept >= 1000) await this.#catchUp()
    await this.#check({})
  }

  /** The rotator of one replica wakes whenever the plan has something to do. */
  async #live (to: number): Promise<void> {
    await this.#wake()
    for (;;) {
      const next = nextPlanAt(this.#ring, this.#policy, this.#clock())?.getTime() ?? Infinity
      if (next >= to) break
      this.#now = next - 1
      await this.#check({ settled: true })
      this.#now = next
      await this.#check({ awake: true })
      await this.#wake()
    }
    this.#now = Math.max(this.#now, to - 1)
    await this.#check({ awake: true })
    this.#now = to
    await this.#wake()
  }

  async #wake (): Promise<void> {
    await this.#catchUp()
    await this.#replica(0).rotator.settle()
    await this.#catchUp()
    await this.#check({ settled: true })
  }

  async #rotate (kind: Wish, callees: Replica[]): Promise<void> {
    const before = this.#signingIn(await this.#store.read())
    const successor = pendingKeysAt(await this.#store.read(), this.#clock())[0]
    const rotations = await Promise.all(callees.map(async ({ rotator }) => await rotator.rotate(kind === 'emergency' ? { kind, reason: 'drill' } : { kind }, SYSTEM)))
    const after = await this.#store.read()
    const [rotation] = rotations
    must(rotation !== undefined, 'a rotation was asked for')
    must(rotations.every(other => JSON.stringify(other) === JSON.stringify(rotation)), 'calls that overlap answer the same')
    this.#checkRotation(kind, rotation, before, successor, after)
    for (const callee of callees) this.#changedBy(callee)
    if (callees.length > 1) await this.#catchUp()
    await this.#check({ settled: true, mayJumpTheQueue: kind !== 'scheduled' })
  }

  #checkRotation (kind: Wish, rotation: Rotation, before: SigningKey, successor: SigningKey | undefined, after: readonly SigningKey[]): void {
    const keyOf = (kid: string): SigningKey => {
      const key = after.find(candidate => candidate.kid === kid)
      must(key !== undefined, 'a rotation names keys of the ring')
      return key
    }
    must(stateAt(keyOf(rotation.signing), this.#clock()) === 'signing', 'a rotation names the key that signs')
    must(stateAt(keyOf(rotation.next), this.#clock()) === 'pending', 'a rotation names a key that waits')
    if (kind !== 'scheduled') {
      must(rotation.effectiveAt.getTime() === this.#now, 'a forced rotation takes hold now')
      must(rotation.signing !== before.kid, 'a forced rotation changes the key that signs')
    }
    if (kind === 'emergency') must(keyOf(before.kid).revokedAt !== null, 'an emergency revokes the key that signed')
    if (!successor) return
    const takesOver = rotation.effectiveAt.getTime() === this.#now ? rotation.signing : rotation.next
    must(takesOver === successor.kid, 'the key that waited takes over, and only that one')
    if (kind === 'scheduled') {
      const allowedAt = successor.publishedAt.getTime() + this.#policy.publishAheadSeconds * 1000
      must(rotation.effectiveAt.getTime() === Math.max(this.#now, allowedAt), 'it takes over as soon as it may')
    }
  }

  async #revoke (place: number, replica: Replica): Promise<void> {
    const ring = await this.#store.read()
    const key = ring[place % ring.length]
    must(key !== undefined, 'there are keys')
    const answer = await replica.rotator.revoke(key.kid, 'drill', SYSTEM)
    must(answer?.revokedAt != null, 'a revoked key is revoked')
    this.#changedBy(replica)
    await this.#check({ settled: true, mayJumpTheQueue: key.kid === this.#signing?.kid || pendingKeysAt(ring, this.#clock()).length === 0 })
  }

  async #mint (ttlSeconds: number, replica: Replica): Promise<void> {
    const { token } = await replica.mint({ bot: this.#bot, scopes: [], audiences: ['metadata-api'], ttlSeconds })
    const minted = { kid: decodeProtectedHeader(token).kid ?? '', issuer: decodeJwt(token).iss ?? '', exp: decodeJwt(token).exp ?? 0 }
    must(replica.ring.find(minted.issuer, minted.kid).found === 'key', 'who minted a token knows it')
    const key = (await this.#store.read()).find(candidate => candidate.kid === minted.kid)
    must(key !== undefined, 'the key of a token is in the store')
    if (key.revokedAt === null) {
      this.#tokens.push(minted)
      this.#signed.add(key.kid)
    }
    await this.#check({})
  }

  async #changeSettings (policy: RotationPolicy): Promise<void> {
    this.#policy = policy
    await this.start()
  }

  #signingIn (ring: readonly SigningKey[]): SigningKey {
    const [signing, ...others] = ring.filter(key => stateAt(key, this.#clock()) === 'signing')
    must(signing !== undefined, 'some key signs')
    must(others.length === 0, 'only one key signs')
    return signing
  }

  async #check (just: { settled?: boolean, awake?: boolean, mayJumpTheQueue?: boolean }): Promise<void> {
    const ring = await this.#store.read()
    const signing = this.#signingIn(ring)
    this.#checkFuture(ring)
    if (just.settled === true) this.#checkSettled(ring)
    if (just.settled === true || just.awake === true) must(pendingKeysAt(ring, this.#clock()).length > 0, 'a key waits beside the one that signs')
    if (just.mayJumpTheQueue !== true) this.#checkTurn(signing)
    this.#checkHistory(ring)
    this.#checkPrivateHalves(ring)
    this.#checkTokens(ring)

    this.#ring = ring
    this.#signing = signing
    this.#checkedAt = this.#now
    this.#signedLastAt.set(signing.kid, this.#now)
    this.#signed.add(signing.kid)
  }

  #checkFuture (ring: readonly SigningKey[]): void {
    const dates = ring.flatMap(key => [key.signsFrom, key.signsUntil, key.verifiesUntil])
    for (const date of dates) {
      if (date === null || date <= this.#clock()) continue
      const then = ring.filter(key => stateAt(key, date) === 'signing').length
      must(then === 1, `exactly one key will sign at ${date.toISOString()}, not ${then}`)
    }
  }

  #checkSettled (ring: readonly SigningKey[]): void {
    for (const key of pendingKeysAt(ring, this.#clock())) {
      const aheadMs = key.signsFrom.getTime() - key.publishedAt.getTime()
      must(aheadMs >= this.#policy.publishAheadSeconds * 1000, 'no key signs before it has been published long enough')
    }
    for (const key of ring) {
      const eraseAfter = key.signsUntil === null ? Infinity : key.signsUntil.getTime() + (this.#policy.maxStalenessSeconds + this.#policy.clockToleranceSeconds) * 1000
      if (eraseAfter <= this.#now) must(key.sealedPrivateKey === null, 'the private half of a key that is over is erased')
    }
  }

  /** A key that took over by its date had waited for long enough, and takes over from a moment that had not been seen yet. */
  #checkTurn (signing: SigningKey): void {
    if (signing.kid === this.#signing?.kid) return
    const promised = this.#ring.find(key => key.kid === signing.kid)
    must(promised !== undefined && promised.publishedAt < signing.signsFrom, 'a key signs only after it was published')
    must(signing.signsFrom.getTime() - signing.publishedAt.getTime() >= this.#policy.publishAheadSeconds * 1000 || promised.signsFrom.getTime() === signing.signsFrom.getTime(), 'no key jumps the queue')
    must(signing.signsFrom.getTime() >= this.#checkedAt, 'no key signs from a moment in the past')
  }

  #checkHistory (ring: readonly SigningKey[]): void {
    must(new Set(ring.map(key => key.kid)).size === ring.length, 'kids are unique')
    for (const before of this.#ring) {
      const key = ring.find(candidate => candidate.kid === before.kid)
      must(key !== undefined, 'no key is forgotten')
      must(before.revokedAt === null || key.revokedAt?.getTime() === before.revokedAt.getTime(), 'a revocation is for ever')
      must(!this.#signed.has(key.kid) || key.verifiesUntil >= before.verifiesUntil, 'verifiesUntil of a key that has signed only moves later')
      must(before.issuers.every(issuer => key.issuers.includes(issuer)), 'a key forgets no issuer')
    }
  }

  #checkPrivateHalves (ring: readonly SigningKey[]): void {
    for (const key of ring) {
      const state = stateAt(key, this.#clock())
      if (state === 'revoked') must(key.sealedPrivateKey === null, 'the private half of a revoked key is erased')
      if (state === 'signing' || state === 'pending') must(key.sealedPrivateKey !== null, 'a key that signs or will sign has a private half')
      const before = this.#ring.find(candidate => candidate.kid === key.kid)
      if (before?.sealedPrivateKey == null || key.sealedPrivateKey !== null || state === 'revoked') continue
      const lagMs = (this.#policy.maxStalenessSeconds + this.#policy.clockToleranceSeconds) * 1000
      must((this.#signedLastAt.get(key.kid) ?? 0) + lagMs <= this.#now, 'a private half stays for as long as a lagging replica may need it')
    }
  }

  #checkTokens (ring: readonly SigningKey[]): void {
    this.#tokens = this.#tokens.filter(token => this.#now < token.exp * 1000)
    for (const { kid, issuer, exp } of this.#tokens) {
      const key = ring.find(candidate => candidate.kid === kid)
      const revoked = key?.revokedAt != null
      must(key !== undefined && (revoked || exp * 1000 <= key.verifiesUntil.getTime()), 'no token outlives its key')
      for (const replica of this.#replicas) {
        if (this.#lagging.has(replica)) continue
        must(replica.ring.find(issuer, kid).found === (revoked ? 'revoked' : 'key'), 'a token verifies until its exp, unless its key is revoked')
        must(replica.ring.knowsIssuer(issuer), 'an issuer is known while a token of it lives')
      }
    }
  }
}

await t.test('the invariants of the ring hold, whatever happens', async () => {
  await fc.assert(fc.asyncProperty(policies, fc.array(happenings, { maxLength: 40, size: 'max' }), async (policy, history) => {
    await takeTurns() // lets the time limit interrupt
    const world = new World(policy)
    await world.start()
    for (const happening of history) await world.happen(happening)
  }), { numRuns: 200, interruptAfterTimeLimit: 15_000 })
})

const pureChanges = fc.record({
  change: fc.constantFrom('none', 'rotate', 'force', 'revoke'),
  place: fc.nat({ max: 20 }),
  policy: policies,
  afterSeconds: fc.oneof(fc.nat({ max: 60 }), fc.nat({ max: 100 * DAY }))
})

await t.test('the plan comes to rest, and then exactly one key signs at every moment to come', async () => {
  fc.assert(fc.property(fc.array(pureChanges, { maxLength: 20 }), history => {
    let ring: readonly SigningKey[] = []
    let now = START
    let made = 0
    for (const { change, place, policy, afterSeconds } of history) {
      now = addSeconds(now, afterSeconds)
      const kid = ring[place % Math.max(1, ring.length)]?.kid ?? ''
      if (change === 'revoke') ring = revoke(ring, kid, 'drill', now)
      if (change === 'rotate' || change === 'force') ring = rotate(ring, change === 'force', policy, now)
      ring = settle(ring, Array.from({ length: 3 }, () => newKey(`k${++made}`)), policy, now)

      must(planStep(ring, policy, now) === null, 'a settled ring lacks nothing')
      must(settle(ring, [], policy, now) === ring, 'settling again changes nothing')
      const moments = ring.flatMap(key => [key.signsFrom, key.signsUntil, key.verifiesUntil]).filter(moment => moment !== null && moment > now)
      for (const moment of [now, ...moments]) {
        must(ring.filter(key => moment && stateAt(key, moment) === 'signing').length === 1, 'exactly one key signs')
      }
      must(pendingKeysAt(ring, now).length > 0, 'a key waits beside it')
      must((nextPlanAt(ring, policy, now) ?? now) > now, 'the plan wakes later')
    }
  }), { numRuns: 300 })
})
