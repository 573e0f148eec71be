import t from 'tap'
import { needsKey, nextPlanAt, planStep, revoke, rotate, settle } from '../../src/keys/rotation-plan.ts'
import { stateAt } from '../../src/keys/signing-key.ts'
import { newKey } from '../fakes/memory-key-vault.ts'
import { at, DAY, freshRing, HOUR, ISSUER, keyIn, lineOf, POLICY, ringBeforeHandover, settled, START } from '../fakes/memory-rings.ts'

await t.test('an empty ring', async t => {
  t.same(planStep([], POLICY, START), { do: 'publish', signsFrom: START, reason: 'the ring has no key' })
  t.ok(needsKey([], POLICY, START))

  await t.test('starts with a key that signs and one that waits a whole period', async t => {
    const ring = freshRing()
    t.same(lineOf(ring, START), { signing: 'k1', pending: ['k2'] })
    t.same(keyIn(ring, 'k2').signsFrom, at(30 * DAY))
    t.same(keyIn(ring, 'k1').signsUntil, at(30 * DAY))
    t.equal(keyIn(ring, 'k2').signsUntil, null)
    t.same(keyIn(ring, 'k1').issuers, [ISSUER])
  })

  await t.test('gives keys that outlive the longest token of their last second', async t => {
    t.same(keyIn(freshRing(), 'k1').verifiesUntil, at(30 * DAY + DAY + 5))
    t.same(keyIn(freshRing(), 'k2').verifiesUntil, at(60 * DAY + DAY + 5))
  })

  await t.test('publishes what there is when the material runs out', async t => {
    const ring = settle([], [newKey('only')], POLICY, START)
    t.same(ring.map(key => key.kid), ['only'])
    t.ok(needsKey(ring, POLICY, START))
  })
})

await t.test('a settled ring lacks nothing', async t => {
  t.equal(planStep(freshRing(), POLICY, START), null)
  t.notOk(needsKey(freshRing(), POLICY, START))
  const ring = freshRing()
  t.equal(settle(ring, [newKey('unused')], POLICY, at(DAY)), ring, 'and stays as it is')
})

await t.test('the handover', async t => {
  await t.test('the successor is published an hour before the pending key signs, and not sooner', async t => {
    t.equal(planStep(freshRing(), POLICY, at(30 * DAY - HOUR - 1)), null)
    t.match(planStep(freshRing(), POLICY, at(30 * DAY - HOUR)), { do: 'publish', reason: 'the pending key signs soon' })
  })

  await t.test('with a period under ten hours, a tenth of it before', async t => {
    const policy = { ...POLICY, rotateEverySeconds: 100, publishAheadSeconds: 20 }
    t.equal(planStep(freshRing(policy), policy, at(89)), null)
    t.match(planStep(freshRing(policy), policy, at(90)), { do: 'publish', reason: 'the pending key signs soon' })
  })

  await t.test('one key stops in the millisecond in which the next one starts', async t => {
    const ring = ringBeforeHandover()
    const handover = at(30 * DAY)
    const before = new Date(handover.getTime() - 1)
    t.same(ring.map(key => stateAt(key, before)), ['signing', 'pending', 'pending'])
    t.same(ring.map(key => stateAt(key, handover)), ['retired', 'signing', 'pending'])
  })

  await t.test('the key behind it waits a period, and never less than it must be published ahead', async t => {
    t.same(keyIn(ringBeforeHandover(), 'k3').signsFrom, at(60 * DAY))
    const policy = { ...POLICY, rotateEverySeconds: 1_000, publishAheadSeconds: 990 }
    const ring = settled(freshRing(policy), at(1_100), policy)
    t.same(keyIn(ring, 'k3').signsFrom, at(1_100 + 990))
  })

  await t.test('the old key is gone when its last token is', async t => {
    const key = keyIn(ringBeforeHandover(), 'k1')
    t.equal(stateAt(key, at(31 * DAY + 4)), 'retired')
    t.equal(stateAt(key, at(31 * DAY + 5)), 'gone')
  })
})

await t.test('the private half', async t => {
  const ring = ringBeforeHandover()
  await t.test('stays while a lagging replica may sign with it', async t => {
    t.not(keyIn(settled(ring, at(30 * DAY + 304)), 'k1').sealedPrivateKey, null)
  })

  await t.test('is erased after that', async t => {
    t.same(planStep(ring, POLICY, at(30 * DAY + 305)), { do: 'erase', kid: 'k1', reason: 'it signs no more' })
    t.equal(keyIn(settled(ring, at(30 * DAY + 305)), 'k1').sealedPrivateKey, null)
  })
})

await t.test('after a sleep', async t => {
  await t.test('past one handover, the key that was due signs, and a successor is published', async t => {
    const ring = settled(freshRing(), at(40 * DAY))
    t.same(lineOf(ring, at(40 * DAY)), { signing: 'k2', pending: ['k3'] })
    t.same(keyIn(ring, 'k3').signsFrom, at(60 * DAY))
  })

  await t.test('of years, the newest key goes on until its successor may sign', async t => {
    const woken = at(3_000 * DAY)
    t.same(lineOf(freshRing(), woken), { signing: 'k2', pending: [] }, 'also before anyone has looked')
    const ring = settled(freshRing(), woken)
    t.same(lineOf(ring, woken), { signing: 'k2', pending: ['k3'] })
    t.same(keyIn(ring, 'k3').signsFrom, at(3_001 * DAY))
    t.same(keyIn(ring, 'k2').verifiesUntil, at(3_002 * DAY + 5), 'and outlives what it signs until then')
  })
})

await t.test('a rotation', async t => {
  await t.test('lets the pending key sign at once when it has been published long enough', async t => {
    const ring = settled(rotate(freshRing(), false, POLICY, at(DAY)), at(DAY))
    t.same(lineOf(ring, at(DAY)), { signing: 'k2', pending: ['k3'] })
    t.same(keyIn(ring, 'k1').signsUntil, at(DAY))
    t.same(keyIn(ring, 'k3').signsFrom, at(31 * DAY))
  })

  await t.test('waits until it has been', async t => {
    const ring = settled(rotate(freshRing(), false, POLICY, at(HOUR)), at(HOUR))
    t.same(lineOf(ring, at(HOUR)), { signing: 'k1', pending: ['k2'] })
    t.same(keyIn(ring, 'k2').signsFrom, at(DAY))
    t.same(keyIn(ring, 'k1').signsUntil, at(DAY))
  })

  await t.test('asked for twice, keeps its date', async t => {
    const once = settled(rotate(freshRing(), false, POLICY, at(HOUR)), at(HOUR))
    t.same(settled(rotate(once, false, POLICY, at(2 * HOUR)), at(2 * HOUR)), once)
  })

  await t.test('by force takes hold now', async t => {
    const ring = settled(rotate(freshRing(), true, POLICY, at(1)), at(1))
    t.same(lineOf(ring, at(1)), { signing: 'k2', pending: ['k3'] })
    t.equal(stateAt(keyIn(ring, 'k1'), at(1)), 'retired')
  })

  await t.test('never shortens how long the old key verifies', async t => {
    const ring = settled(rotate(freshRing(), true, POLICY, at(1)), at(1))
    t.same(keyIn(ring, 'k1').verifiesUntil, keyIn(freshRing(), 'k1').verifiesUntil)
  })

  await t.test('takes the next of two pending keys, and brings the other forward', async t => {
    const now = at(30 * DAY - HOUR)
    const ring = settled(rotate(ringBeforeHandover(), true, POLICY, now), now)
    t.same(lineOf(ring, now), { signing: 'k2', pending: ['k3'] })
    t.same(keyIn(ring, 'k3').signsFrom, at(60 * DAY - HOUR))
  })
})

await t.test('a revocation', async t => {
  await t.test('of the signing key makes the pending one sign', async t => {
    const ring = settled(revoke(freshRing(), 'k1', 'leaked', at(HOUR)), at(HOUR))
    t.same(lineOf(ring, at(HOUR)), { signing: 'k2', pending: ['k3'] })
    t.match(keyIn(ring, 'k1'), { revokedAt: at(HOUR), revokedReason: 'leaked', signsUntil: at(HOUR), sealedPrivateKey: null })
    t.equal(stateAt(keyIn(ring, 'k1'), at(HOUR)), 'revoked')
  })

  await t.test('of the pending key gives the signing one another successor, and lets it sign until then', async t => {
    const now = at(30 * DAY - 2 * HOUR)
    const ring = settled(revoke(freshRing(), 'k2', 'leaked', now), now)
    t.same(lineOf(ring, now), { signing: 'k1', pending: ['k3'] })
    t.same(keyIn(ring, 'k3').signsFrom, at(31 * DAY - 2 * HOUR), 'which is published as long ahead as any')
    t.same(keyIn(ring, 'k1').signsUntil, at(31 * DAY - 2 * HOUR))
    t.same(keyIn(ring, 'k1').verifiesUntil, at(32 * DAY - 2 * HOUR + 5))
  })

  await t.test('of the last of two pending keys leaves the line as it was', async t => {
    const now = at(30 * DAY - HOUR)
    const ring = settled(revoke(ringBeforeHandover(), 'k3', 'leaked', now), now)
    t.same(lineOf(ring, now), { signing: 'k1', pending: ['k2', 'k4'] })
    t.same(keyIn(ring, 'k2').signsUntil, keyIn(ring, 'k4').signsFrom)
  })

  await t.test('of a retired key changes no other key', async t => {
    const before = settled(rotate(freshRing(), true, POLICY, at(1)), at(1))
    const ring = settled(revoke(before, 'k1', 'leaked', at(HOUR)), at(HOUR))
    t.equal(stateAt(keyIn(ring, 'k1'), at(HOUR)), 'revoked')
    t.same(ring.filter(key => key.kid !== 'k1'), before.filter(key => key.kid !== 'k1'))
  })

  await t.test('of a kid that the ring has not changes nothing', async t => {
    t.same(revoke(freshRing(), 'nobody', 'leaked', at(HOUR)), freshRing())
  })

  await t.test('of every key at once leaves a new one that signs', async t => {
    const now = at(HOUR)
    const ring = settled(['k1', 'k2'].reduce((keys, kid) => revoke(keys, kid, 'leaked', now), freshRing()), now)
    t.same(lineOf(ring, now), { signing: 'k3', pending: ['k4'] })
  })
})

await t.test('a changed policy', async t => {
  await t.test('with longer tokens: keys that sign or will sign verify for longer', async t => {
    const ring = settled(freshRing(), at(HOUR), { ...POLICY, maxTokenTtlSeconds: 90 * DAY })
    t.same(keyIn(ring, 'k1').verifiesUntil, at(120 * DAY + 5))
    t.same(keyIn(ring, 'k2').verifiesUntil, at(150 * DAY + 5))
  })

  await t.test('with shorter tokens: no key verifies for less', async t => {
    t.same(settled(freshRing(), at(HOUR), { ...POLICY, maxTokenTtlSeconds: HOUR }), freshRing())
  })

  await t.test('with another issuer: keys that sign or will sign learn it, and forget none', async t => {
    const ring = settled(settled(rotate(freshRing(), true, POLICY, at(1)), at(1)), at(2), { ...POLICY, issuer: 'https://new.example.com' })
    t.same(ring.map(key => key.issuers), [[ISSUER], [ISSUER, 'https://new.example.com'], [ISSUER, 'https://new.example.com']])
  })

  await t.test('with a shorter period: the pending key signs sooner', async t => {
    const ring = settled(freshRing(), at(HOUR), { ...POLICY, rotateEverySeconds: 10 * DAY })
    t.same(keyIn(ring, 'k2').signsFrom, at(10 * DAY))
    t.same(keyIn(ring, 'k1').signsUntil, at(10 * DAY))
  })

  await t.test('with a period that is over already: the pending key signs from now, not from some time past', async t => {
    const now = at(20 * DAY)
    const ring = settled(freshRing(), now, { ...POLICY, rotateEverySeconds: 10 * DAY })
    t.same(lineOf(ring, now), { signing: 'k2', pending: ['k3'] })
    t.same(keyIn(ring, 'k2').signsFrom, now)
    t.not(keyIn(ring, 'k1').sealedPrivateKey, null, 'and a lagging replica may still sign with the one before')
  })

  await t.test('with a longer period: the date that was promised stays', async t => {
    t.same(settled(freshRing(), at(HOUR), { ...POLICY, rotateEverySeconds: 60 * DAY }).map(key => key.signsFrom), freshRing().map(key => key.signsFrom))
  })

  await t.test('with a longer time ahead: the pending key waits longer', async t => {
    const now = at(30 * DAY - 2 * HOUR)
    const ring = settled(settled(revoke(freshRing(), 'k2', 'leaked', now), now), now, { ...POLICY, publishAheadSeconds: 3 * DAY })
    t.same(keyIn(ring, 'k3').signsFrom, at(33 * DAY - 2 * HOUR))
    t.same(keyIn(ring, 'k1').signsUntil, at(33 * DAY - 2 * HOUR))
  })

  await t.test('with a longer time ahead, while two keys wait: each hands over to the next at one date', async t => {
    const short = { ...POLICY, rotateEverySeconds: 1_000, publishAheadSeconds: 20 }
    const now = at(950)
    const ring = settled(settled(freshRing(short), now, short), now, { ...short, rotateEverySeconds: 10_000, publishAheadSeconds: 5_000 })
    const [k1, k2, k3] = ['k1', 'k2', 'k3'].map(kid => keyIn(ring, kid))
    t.same(k2?.signsFrom, at(5_000))
    t.same(k1?.signsUntil, k2?.signsFrom)
    t.same(k2?.signsUntil, k3?.signsFrom)
    t.ok((k3?.signsFrom ?? 0) >= at(950 + 5_000), 'k3 is published long enough before its turn')
    t.equal(k3?.signsUntil, null)
  })
  await t.test('with a longer time ahead, while two keys wait that were published together: they keep their turns', async t => {
    const short = { ...POLICY, rotateEverySeconds: 1_000, publishAheadSeconds: 20 }
    const two = settled(rotate(freshRing(short), false, short, START), START, short)
    t.same(lineOf(two, START), { signing: 'k1', pending: ['k2', 'k3'] })
    const ring = settled(two, START, { ...short, rotateEverySeconds: 10_000, publishAheadSeconds: 5_000 })
    t.same(lineOf(ring, at(5_000)), { signing: 'k2', pending: ['k3'] })
  })
})

await t.test('the plan wakes', async t => {
  await t.test('when the pending key needs a successor', async t => {
    t.same(nextPlanAt(freshRing(), POLICY, START), at(30 * DAY - HOUR))
  })

  await t.test('at the handover', async t => {
    t.same(nextPlanAt(ringBeforeHandover(), POLICY, at(30 * DAY - HOUR)), at(30 * DAY))
  })

  await t.test('when a private half may be erased', async t => {
    t.same(nextPlanAt(ringBeforeHandover(), POLICY, at(30 * DAY)), at(30 * DAY + 305))
  })

  await t.test('never in the past, and not at all for an empty ring', async t => {
    t.equal(nextPlanAt(freshRing(), POLICY, at(3_000 * DAY)), null)
    t.equal(nextPlanAt([], POLICY, START), null)
  })
})
