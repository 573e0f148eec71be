import { calculateJwkThumbprint, createLocalJWKSet, type JSONWebKeySet } from 'jose'
import t, { type Test } from 'tap'
import { createJwks, renderJwks } from '../../src/keys/jwks.ts'
import { createKeyRing, type KeyRing } from '../../src/keys/key-ring.ts'
import type { RingChange } from '../../src/keys/key-store.ts'
import { createLocalVault } from '../../src/keys/local-vault.ts'
import { revoke, rotate } from '../../src/keys/rotation-plan.ts'
import type { SigningKey } from '../../src/keys/signing-key.ts'
import { movableClock } from '../fakes/clock.ts'
import { memoryKeyStore } from '../fakes/memory-key-store.ts'
import { at, DAY, freshRing, HOUR, ISSUER, keyIn, POLICY, ringBeforeHandover, settled, START } from '../fakes/memory-rings.ts'

const keysAt = (ring: readonly SigningKey[], now: Date): Array<Record<string, unknown>> =>
  (JSON.parse(renderJwks(ring, now).body.toString()) as { keys: Array<Record<string, unknown>> }).keys
const kidsAt = (ring: readonly SigningKey[], now: Date): unknown[] => keysAt(ring, now).map(key => key.kid)

await t.test('the JWKS', async t => {
  await t.test('shows the public half of each key, and six fields only', async t => {
    const { n, e } = keyIn(freshRing(), 'k1').publicKey
    t.strictSame(keysAt(freshRing(), START)[0], { kty: 'RSA', use: 'sig', alg: 'RS256', kid: 'k1', n, e })
    t.same(Object.keys(JSON.parse(renderJwks(freshRing(), START).body.toString()) as object), ['keys'])
    t.notMatch(renderJwks(freshRing(), START).body.toString(), /sealed/)
  })

  await t.test('is a set that jose reads, with RFC 7638 kids and no leading zero bytes', async t => {
    const key: SigningKey = { ...keyIn(freshRing(), 'k1'), ...await createLocalVault([Buffer.alloc(32)], 2048).generate() }
    const set = JSON.parse(renderJwks([key], START).body.toString()) as JSONWebKeySet
    t.match(await createLocalJWKSet(set)({ alg: 'RS256', kid: key.kid }), { type: 'public' })
    const [jwk] = set.keys
    t.equal(jwk?.kid, await calculateJwkThumbprint(jwk ?? { kty: '' }))
    for (const number of [jwk?.n, jwk?.e]) t.not(Buffer.from(String(number), 'base64url')[0], 0)
  })

  await t.test('shows the signing key first, then the newest', async t => {
    const handover = at(30 * DAY)
    t.same(kidsAt(ringBeforeHandover(), at(30 * DAY - 1)), ['k1', 'k3', 'k2'])
    t.same(kidsAt(ringBeforeHandover(), handover), ['k2', 'k3', 'k1'])
    t.same(kidsAt(ringBeforeHandover().toReversed(), handover), ['k2', 'k3', 'k1'], 'in whatever order they come')
  })

  await t.test('drops a key when its last token is over, and not sooner', async t => {
    t.ok(kidsAt(ringBeforeHandover(), at(31 * DAY + 4)).includes('k1'))
    t.notOk(kidsAt(ringBeforeHandover(), at(31 * DAY + 5)).includes('k1'))
  })

  await t.test('drops a revoked key at once', async t => {
    t.same(kidsAt(settled(revoke(freshRing(), 'k1', 'leaked', at(1)), at(1)), at(1)), ['k2', 'k3'])
  })

  await t.test('keeps a key that signs past its planned end', async t => {
    t.same(kidsAt(freshRing(), at(3_000 * DAY)), ['k2'])
  })
})

await t.test('the bytes that are served', async t => {
  async function served (t: Test, initial: readonly SigningKey[]): Promise<{ jwks: ReturnType<typeof createJwks>, ring: KeyRing, change: (change: RingChange) => Promise<void>, advance: (seconds: number) => void }> {
    const { clock, advance } = movableClock(START)
    const store = memoryKeyStore(initial)
    const ring = createKeyRing(store, clock)
    await ring.refresh()
    const jwks = createJwks(ring, clock)
    t.match(jwks().etag, /^"[A-Za-z0-9_-]+"$/, 'a strong validator')
    const change = async (change: RingChange): Promise<void> => {
      await store.update(change)
      await ring.refresh()
    }
    return { jwks, ring, change, advance }
  }

  await t.test('are made once while nothing changes', async t => {
    const { jwks, advance } = await served(t, freshRing())
    const before = jwks()
    advance(20 * DAY)
    t.equal(jwks().body, before.body)
    t.equal(jwks().etag, before.etag)
  })

  await t.test('keep their validator when the ring is read anew but no key has changed', async t => {
    const { jwks, ring, change } = await served(t, freshRing())
    const before = jwks()
    await ring.refresh()
    await change(keys => keys.map(key => ({ ...key, issuers: [...key.issuers, ISSUER] })))
    t.same(jwks(), { ...before, generation: ring.generation() })
  })

  await t.test('change by themselves when a key takes over, and when one is over', async t => {
    const { jwks, advance } = await served(t, ringBeforeHandover())
    const seen = new Set([jwks().etag])
    for (const step of [30 * DAY, DAY + 5]) {
      advance(step - 0.001)
      t.ok(seen.has(jwks().etag), 'not a millisecond before')
      advance(0.001)
      t.notOk(seen.has(jwks().etag))
      seen.add(jwks().etag)
      t.same(jwks().body, renderJwks(ringBeforeHandover(), at(step === 30 * DAY ? step : 31 * DAY + 5)).body)
    }
  })

  await t.test('change when the ring does', async t => {
    const { jwks, change, advance } = await served(t, freshRing())
    const etags = [jwks().etag]
    advance(HOUR)
    await change(keys => settled(rotate(keys, true, POLICY, at(HOUR)), at(HOUR)))
    etags.push(jwks().etag)
    await change(keys => settled(revoke(keys, 'k1', 'leaked', at(HOUR)), at(HOUR)))
    etags.push(jwks().etag)
    t.equal(new Set(etags).size, 3)
    t.notMatch(jwks().body.toString(), /"k1"/)
  })
})
