/**
 * Contract 3.2 on three replicas over one store, with all that lies between them: each has a clock of its own, notifications
 * get lost, answers come in any order, a replica is cut off for a while, or dies between what it reads and what it writes.
 * What it checks is what the outside sees: which tokens can be minted, and where they are good.
 */
import fc from 'fast-check'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import t from 'tap'
import { draftBot } from '../../src/bots/bot-draft.ts'
import { createKeyRing, type KeyRing } from '../../src/keys/key-ring.ts'
import type { KeyStore } from '../../src/keys/key-store.ts'
import { nextPlanAt, type RotationPolicy } from '../../src/keys/rotation-plan.ts'
import { createRotator, type Rotation, type RotationWish, type Rotator } from '../../src/keys/rotator.ts'
import { pendingKeysAt, stateAt, type Clock, type SigningKey } from '../../src/keys/signing-key.ts'
import { SYSTEM } from '../../src/telemetry/audit.ts'
import { createMint, type Mint } from '../../src/tokens/mint.ts'
import { memoryKeyStore } from '../fakes/memory-key-store.ts'
import { memoryKeyVault } from '../fakes/memory-key-vault.ts'
import { DAY, HOUR, START } from '../fakes/memory-rings.ts'

const REPLICAS = 3
const BOT = draftBot('ingestion-bot', {}, ['metadata-api'], START)

type Wish = RotationWish['kind']
/** Where a replica dies in its next write. */
type Death = 'before it writes' | 'after it has written'

type Happening =
  | { happens: 'time passes', seconds: number, periods: number }
  | { happens: 'a notification arrives' | 'it is cut off' | 'it is back' | 'it wakes', replica: number }
  | { happens: 'it dies', replica: number, death: Death, doing: Wish | 'revoke' | 'settle' }
  | { happens: 'rotate', wishes: Array<{ replica: number, wish: Wish }> }
  | { happens: 'revoke', replica: number, place: number }
  | { happens: 'mint', replica: number, ttlSeconds: number }

const policies = fc.record({
  rotateEverySeconds: fc.constantFrom(2 * HOUR, 30 * DAY),
  ahead: fc.double({ min: 0.01, max: 0.99, noNaN: true }),
  maxTokenTtlSeconds: fc.constantFrom(600, DAY),
  clockToleranceSeconds: fc.constantFrom(1, 5, 60),
  maxStalenessSeconds: fc.constantFrom(10, 300, HOUR)
}).map(({ ahead, ...policy }): RotationPolicy => ({ ...policy, issuer: 'https://one.example', publishAheadSeconds: policy.clockToleranceSeconds + Math.ceil(ahead * (policy.rotateEverySeconds - policy.clockToleranceSeconds - 1)) }))

/** In parts of what two clocks may differ by. */
const skews = fc.oneof(fc.constant([0, 0, 0]), fc.array(fc.double({ min: -0.5, max: 0.5, noNaN: true }), { minLength: REPLICAS, maxLength: REPLICAS }))
const replicas = fc.nat({ max: REPLICAS - 1 })
const wishes = fc.constantFrom<Wish>('scheduled', 'forced', 'emergency')
const happenings: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ happens: fc.constant('time passes'), seconds: fc.oneof(fc.double({ min: 0, max: 3, noNaN: true }), fc.nat({ max: 600 })), periods: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.double({ min: 0, max: 1.2, noNaN: true })) }) },
  { weight: 4, arbitrary: fc.record({ happens: fc.constantFrom('a notification arrives', 'it is cut off', 'it is back', 'it wakes'), replica: replicas }) },
  { weight: 1, arbitrary: fc.record({ happens: fc.constant('it dies'), replica: replicas, death: fc.constantFrom<Death>('before it writes', 'after it has written'), doing: fc.constantFrom<Wish | 'revoke' | 'settle'>('scheduled', 'forced', 'emergency', 'revoke', 'settle') }) },
  { weight: 2, arbitrary: fc.record({ happens: fc.constant('rotate'), wishes: fc.array(fc.record({ replica: replicas, wish: wishes }), { minLength: 1, maxLength: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ happens: fc.constant('revoke'), replica: replicas, place: fc.nat({ max: 20 }) }) },
  { weight: 6, arbitrary: fc.record({ happens: fc.constant('mint'), replica: replicas, ttlSeconds: fc.integer({ min: 1, max: DAY }) }) }
)

class Broken extends Error {}
class Away extends Error {}
class Dead extends Error {}

function must (holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new Broken(sentence)
}

interface Replica {
  clock: Clock
  ring: KeyRing
  rotator: Rotator
  mint: Mint
  /** When it last looked, on the database's clock, and how many writes it saw then. */
  seenAt: number
  seenWrites: number
  isCutOff: boolean
  diesNext: Death | null
  catchUp: () => Promise<void>
}

interface Token { kid: string, exp: number }

class World {
  /** The database's clock. */
  #now = START.getTime()
  readonly #policy: RotationPolicy
  readonly #skewsMs: number[]
  readonly #scheduler: fc.Scheduler
  readonly #store = memoryKeyStore()
  readonly #vault = memoryKeyVault()
  readonly #replicas: Replica[] = []
  #tokens: Token[] = []

  #writes = 0
  /** When each key was published, and by which write; and by which it was revoked. */
  readonly #publishedAt = new Map<string, number>()
  readonly #publishedBy = new Map<string, number>()
  readonly #revokedBy = new Map<string, number>()
  readonly #haveSigned = new Set<string>()
  /** Somebody asked for it: it may sign before its time. */
  readonly #hurried = new Set<string>()
  #before: readonly SigningKey[] = []

  constructor (policy: RotationPolicy, skews: readonly number[], scheduler: fc.Scheduler) {
    this.#policy = policy
    this.#skewsMs = skews.map(skew => Math.round(skew * policy.clockToleranceSeconds * 1000))
    this.#scheduler = scheduler
  }

  get #toleranceMs (): number { return this.#policy.clockToleranceSeconds * 1000 }

  async start (): Promise<void> {
    await this.#inAnyOrder(this.#skewsMs.map((_, number) => async () => { await this.#startReplica(number) }))
    this.#now += this.#toleranceMs // the first key of all signs from the moment that its maker thought it was
    await this.#inAnyOrder(this.#replicas.map(({ catchUp }) => catchUp))
    for (const { kid } of await this.#store.read()) this.#hurried.add(kid)
    await this.#check()
  }

  /** Whatever these calls ask of the store is asked, and answered, in any order. */
  async #inAnyOrder<T> (calls: ReadonlyArray<() => Promise<T>>): Promise<Array<PromiseSettledResult<T>>> {
    return await this.#scheduler.waitFor(Promise.allSettled(calls.map(async call => await call())))
  }

  async #startReplica (number: number): Promise<void> {
    const clock: Clock = () => new Date(this.#now + (this.#skewsMs[number] ?? 0))
    const life: { replica?: Replica } = {}
    const travels = async (): Promise<void> => {
      await this.#scheduler.schedule(Promise.resolve())
      this.#now++
    }
    const reached = async <T>(work: () => Promise<T>): Promise<T> => {
      await travels()
      if (life.replica?.isCutOff === true) throw new Away()
      const answer = await work()
      await travels()
      return answer
    }
    const seen = { at: this.#now, writes: 0 }
    const store: KeyStore = {
      read: async () => await reached(async () => {
        seen.at = this.#now
        seen.writes = this.#writes
        return await this.#store.read()
      }),
      update: async (change, eventsOf) => await reached(async () => {
        const death = life.replica?.diesNext
        if (death === 'before it writes') throw new Dead()
        const after = await this.#store.update(change, eventsOf)
        this.#written(after)
        if (death === 'after it has written') throw new Dead()
        return after
      })
    }
    const ring = createKeyRing(store, clock)
    let looking: Promise<void> = Promise.resolve()
    /** One look at a time, as change-watch.ts has it. */
    const catchUp = async (): Promise<void> => {
      const next = looking.then(async () => {
        await ring.refresh()
        if (life.replica) Object.assign(life.replica, { seenAt: seen.at, seenWrites: seen.writes })
      })
      looking = next.catch(() => { /* whoever waits for it hears of it */ })
      await next
    }
    const rotator = createRotator({ ring, store, vault: this.#vault, policy: this.#policy, clock, reload: catchUp })
    const isStale = (): boolean => this.#now - (life.replica?.seenAt ?? 0) > this.#policy.maxStalenessSeconds * 1000
    const mint = createMint({
      ring,
      rotator,
      vault: this.#vault,
      revocations: { isStale, isRunRevoked: () => false, notBefore: () => 0 },
      policy: { ...this.#policy, tokenTyp: 'at+jwt', principalDomain: 'example.com', tokenTtlSeconds: this.#policy.maxTokenTtlSeconds },
      clock
    })
    life.replica = { clock, ring, rotator, mint, seenAt: this.#now, seenWrites: 0, isCutOff: false, diesNext: null, catchUp }
    this.#replicas[number] = life.replica
    await catchUp()
    await rotator.settle()
  }

  #written (ring: readonly SigningKey[]): void {
    this.#writes++
    for (const { kid, revokedAt } of ring) {
      if (!this.#publishedBy.has(kid)) {
        this.#publishedBy.set(kid, this.#writes)
        this.#publishedAt.set(kid, this.#now)
      }
      if (revokedAt !== null && !this.#revokedBy.has(kid)) this.#revokedBy.set(kid, this.#writes)
    }
  }

  #replica (number: number): Replica {
    const replica = this.#replicas[number]
    must(replica !== undefined, 'there are replicas')
    return replica
  }

  async happen (happening: Happening): Promise<void> {
    switch (happening.happens) {
      case 'time passes':
        await this.#pass(this.#now + Math.round((happening.seconds + happening.periods * this.#policy.rotateEverySeconds) * 1000))
        break
      case 'a notification arrives':
        await this.#inAnyOrder([this.#replica(happening.replica).catchUp])
        break
      case 'it is cut off':
        this.#replica(happening.replica).isCutOff = true
        break
      case 'it is back':
        this.#replica(happening.replica).isCutOff = false
        break
      case 'it wakes':
        await this.#inAnyOrder([this.#replica(happening.replica).rotator.settle])
        break
      case 'it dies':
        await this.#die(happening.replica, happening.death, happening.doing)
        break
      case 'rotate':
        await this.#rotate(happening.wishes)
        break
      case 'revoke':
        await this.#hurry()
        await this.#inAnyOrder([async () => await this.#replica(happening.replica).rotator.revoke(await this.#kidAt(happening.place), 'drill', SYSTEM)])
        break
      case 'mint':
        await this.#mint(this.#replica(happening.replica), happening.ttlSeconds)
        break
    }
    await this.#check()
  }

  /** Whoever is not cut off wakes when the plan has something to do, all at once, after a look or without one; one has looked. */
  async #pass (to: number): Promise<void> {
    for (;;) {
      const next = nextPlanAt(await this.#store.read(), this.#policy, new Date(this.#now))?.getTime() ?? Infinity
      if (next >= to) break
      this.#now = next + this.#toleranceMs
      const awake = this.#replicas.filter(({ isCutOff }) => !isCutOff)
      await this.#inAnyOrder(awake.map(({ rotator, catchUp }, place) => async () => {
        if (place === 0) await catchUp()
        await rotator.settle()
      }))
      if (awake.length === 0) break
      await this.#check()
    }
    this.#now = Math.max(this.#now, to)
  }

  async #die (number: number, death: Death, doing: Wish | 'revoke' | 'settle'): Promise<void> {
    const { rotator } = this.#replica(number)
    this.#replica(number).diesNext = death
    const kid = await this.#kidAt(0)
    await this.#hurry()
    const last = async (): Promise<unknown> => {
      if (doing === 'settle') {
        await rotator.settle()
        return
      }
      return doing === 'revoke' ? await rotator.revoke(kid, 'drill', SYSTEM) : await rotator.rotate(wishOf(doing), SYSTEM)
    }
    await this.#inAnyOrder([last])
    await this.#check()
    await this.#inAnyOrder([async () => { await this.#startReplica(number) }])
  }

  async #rotate (wishes: ReadonlyArray<{ replica: number, wish: Wish }>): Promise<void> {
    const before = await this.#store.read()
    const hurried = wishes.filter(({ wish }) => wish !== 'scheduled').length
    if (hurried > 0) await this.#hurry()
    const answers = await this.#inAnyOrder(wishes.map(({ replica, wish }) => async () => await this.#replica(replica).rotator.rotate(wishOf(wish), SYSTEM)))
    if (hurried > 1) await this.#hurry() // what one call has published, another may have let sign
    const rotations = answers.flatMap(answer => answer.status === 'fulfilled' ? [answer.value] : [])
    for (const answer of answers) must(answer.status === 'fulfilled' || answer.reason instanceof Away, `a rotation fails only for who is cut off, not for ${String((answer as PromiseRejectedResult).reason)}`)
    const haveOneClock = this.#skewsMs.every(skew => skew === 0)
    if (haveOneClock && wishes.every(({ wish }) => wish === wishes[0]?.wish)) await this.#checkOverlap(before, rotations)
  }

  async #checkOverlap (before: readonly SigningKey[], rotations: Rotation[]): Promise<void> {
    must(new Set(rotations.map(({ signing, next }) => `${signing} ${next}`)).size <= 1, 'calls that overlap answer with the same kids')
    const settledBefore = pendingKeysAt(before, new Date(this.#now)).length > 0 && before.some(key => stateAt(key, new Date(this.#now)) === 'signing')
    const made = (await this.#store.read()).length - before.length
    must(!settledBefore || made <= 1, `calls that overlap rotate once: ${made} keys were published`)
  }

  async #mint (replica: Replica, ttlSeconds: number): Promise<void> {
    const isStale = this.#now - replica.seenAt > this.#policy.maxStalenessSeconds * 1000
    const [minting] = await this.#inAnyOrder([async () => await replica.mint({ bot: BOT, scopes: [], audiences: ['metadata-api'], ttlSeconds })])
    if (minting?.status !== 'fulfilled') {
      must(isStale || minting?.reason instanceof Away, `some key always signs, but for ${String(minting?.reason)}`)
      return
    }
    must(!isStale, 'who has not seen the database for too long mints nothing')
    const { token } = minting.value
    const kid = decodeProtectedHeader(token).kid ?? ''
    const exp = decodeJwt(token).exp ?? 0
    const key = (await this.#store.read()).find(candidate => candidate.kid === kid)
    must(key !== undefined, 'a token names a key of the store')
    must(key.revokedAt !== null || exp * 1000 <= key.verifiesUntil.getTime(), 'no token outlives its key')
    if (!this.#hurried.has(kid)) must(this.#now - (this.#publishedAt.get(kid) ?? Infinity) >= this.#policy.publishAheadSeconds * 1000 - this.#toleranceMs, 'no key signs before verifiers can hold it')
    this.#haveSigned.add(kid)
    this.#tokens.push({ kid, exp })
  }

  async #kidAt (place: number): Promise<string> {
    const ring = await this.#store.read()
    return ring[ring.length - 1 - place % ring.length]?.kid ?? ''
  }

  /** All that wait may sign before their time from here on. */
  async #hurry (): Promise<void> {
    for (const { kid } of await this.#store.read()) this.#hurried.add(kid)
  }

  async #check (): Promise<void> {
    const ring = await this.#store.read()
    this.#checkLine(ring)
    this.#checkHistory(ring)
    this.#checkTokens(ring)
    this.#before = ring
  }

  #checkLine (ring: readonly SigningKey[]): void {
    const moments = [this.#now, ...ring.flatMap(key => [key.signsFrom, key.signsUntil]).flatMap(date => date === null ? [] : [date.getTime()])]
    for (const moment of moments.filter(moment => moment >= this.#now)) {
      const signing = ring.filter(key => stateAt(key, new Date(moment)) === 'signing').length
      const isInFlux = moment < this.#now + this.#toleranceMs // what a replica that is ahead has decided holds from then on
      must(signing === 1 || (isInFlux && signing === 0), `exactly one key signs, not ${signing}`)
    }
    for (const key of ring) {
      const state = stateAt(key, new Date(this.#now))
      if (state === 'revoked') must(key.sealedPrivateKey === null, 'the private half of a revoked key is erased')
      if (state === 'signing' || state === 'pending') must(key.sealedPrivateKey !== null, 'a key that signs or will sign has a private half')
    }
  }

  #checkHistory (ring: readonly SigningKey[]): void {
    must(new Set(ring.map(key => key.kid)).size === ring.length, 'kids are unique')
    for (const before of this.#before) {
      const key = ring.find(candidate => candidate.kid === before.kid)
      must(key !== undefined, 'no key is forgotten')
      must(before.revokedAt === null || key.revokedAt?.getTime() === before.revokedAt.getTime(), 'a revocation is for ever')
      must(!this.#haveSigned.has(key.kid) || key.verifiesUntil >= before.verifiesUntil, 'verifiesUntil of a key that has signed only moves later')
    }
  }

  /** Each token, at each replica that may judge it. */
  #checkTokens (ring: readonly SigningKey[]): void {
    this.#tokens = this.#tokens.filter(({ exp }) => this.#now < exp * 1000 + this.#toleranceMs)
    for (const replica of this.#replicas) {
      if (this.#now - replica.seenAt > this.#policy.maxStalenessSeconds * 1000) continue
      for (const { kid, exp } of this.#tokens) {
        if (replica.clock().getTime() >= exp * 1000) continue
        const { found } = replica.ring.find(this.#policy.issuer, kid)
        const revokedBy = this.#revokedBy.get(kid) ?? Infinity
        if (revokedBy <= replica.seenWrites) must(found === 'revoked', 'a revocation holds wherever it is known')
        else if (revokedBy === Infinity && (this.#publishedBy.get(kid) ?? Infinity) <= replica.seenWrites) must(found === 'key', 'a token is good everywhere until its exp, unless its key is revoked')
      }
    }
    for (const { kid, exp } of this.#tokens) {
      const key = ring.find(candidate => candidate.kid === kid)
      must(key !== undefined && (key.revokedAt !== null || exp * 1000 <= key.verifiesUntil.getTime()), 'no token outlives its key')
    }
  }
}

function wishOf (kind: Wish): RotationWish {
  return kind === 'emergency' ? { kind, reason: 'drill' } : { kind }
}

await t.test('the invariants hold on three replicas, whatever gets lost, late, out of order or killed', async () => {
  await fc.assert(fc.asyncProperty(policies, skews, fc.array(happenings, { maxLength: 40, size: 'max' }), fc.scheduler(), async (policy, skews, history, scheduler) => {
    const world = new World(policy, skews, scheduler)
    await world.start()
    for (const happening of history) await world.happen(happening)
  }), { numRuns: 300, interruptAfterTimeLimit: 8_000 })
})
