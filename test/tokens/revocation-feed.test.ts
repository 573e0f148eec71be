/** When the feed is rendered anew, and when not. What is in it: test/http/revocation-feed.test.ts. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import t from 'tap'
import type { SigningKey } from '../../src/keys/signing-key.ts'
import type { FeedClaims } from '../../src/tokens/claims.ts'
import { createRevocationFeed, NoFeed } from '../../src/tokens/revocation-feed.ts'
import type { HeldRevocations } from '../../src/tokens/revocations.ts'
import { movableClock } from '../fakes/clock.ts'
import { freshRing, ISSUER, keyIn, START } from '../fakes/memory-rings.ts'
import { memoryKeyVault } from '../fakes/memory-key-vault.ts'

const NOW = START.getTime() / 1000
const MAX_STALENESS = 300

/** A feed over state that the test changes; `seen()` says that the database was looked at just now. */
function startFeed () {
  const { clock, advance } = movableClock(START)
  const vault = memoryKeyVault()
  const ring = freshRing()
  const state = { version: 1, seenAt: NOW, signer: keyIn(ring, 'k1') as SigningKey | undefined, broken: false, held: { disabled: new Set(), tokens: new Map(), bots: new Map(), runs: [{ bot: 'a-bot', run: 'run-1', until: NOW + 60 }] } as HeldRevocations }
  const failures: unknown[] = []
  let signatures = 0
  const feed = createRevocationFeed({
    ring: { all: () => ring, signing: () => state.signer },
    legacyRing: { all: () => [] },
    revocations: { held: () => state.held },
    changes: { version: () => state.version, secondsSinceSeen: () => clock().getTime() / 1000 - state.seenAt },
    vault: {
      async sign (key, input) {
        signatures++
        if (state.broken) throw new Error('the vault is broken')
        return await vault.sign(key, input)
      }
    },
    policy: { issuer: ISSUER, maxStalenessSeconds: MAX_STALENESS },
    clock,
    onFailure: error => { failures.push(error) }
  })
  const read = async (): Promise<FeedClaims & { kid: string | undefined, etag: string }> => {
    const { body, etag } = await feed()
    return { ...decodeJwt<FeedClaims>(body.toString()), kid: decodeProtectedHeader(body.toString()).kid, etag }
  }
  return { state, feed, read, advance, failures, signatures: () => signatures, seen: () => { state.seenAt = clock().getTime() / 1000 } }
}

const manyTokens = (length: number): Map<string, number> => new Map(Array.from({ length }, (_, number) => [`token-${number}`, NOW + number]))

await t.test('it is signed once for each change, however often it is asked for', async t => {
  const { state, read, signatures } = startFeed()
  const first = await read()
  t.match(first, { iss: ISSUER, iat: NOW, exp: NOW + MAX_STALENESS, version: 1, keys: [], bots: {}, disabled: [], runs: [{ bot: 'a-bot', run: 'run-1', until: NOW + 60 }], tokens: {}, legacy: [], kid: 'k1' })
  await Promise.all([1, 2, 3].map(read))
  t.equal(signatures(), 1)
  state.version = 2
  const later = await Promise.all([1, 2, 3].map(read))
  t.equal(signatures(), 2, 'for those who ask at the same time, too')
  t.strictSame(later.map(({ version }) => version), [2, 2, 2])
  t.not(later[0]?.etag, first.etag)
})

await t.test('who asks while an older one is rendered gets the newer', async t => {
  const { state, read } = startFeed()
  state.held = { ...state.held, tokens: manyTokens(6_000) }
  const older = read()
  await nextTurn()
  state.version = 2
  t.equal((await read()).version, 2)
  t.equal((await older).version, 1)
})

await t.test('it is renewed each quarter of its promise, while the database answers', async t => {
  const { read, advance, seen, signatures } = startFeed()
  await read()
  advance(MAX_STALENESS / 4 - 1)
  seen()
  t.equal((await read()).iat, NOW)
  advance(1)
  seen()
  t.match(await read(), { iat: NOW + MAX_STALENESS / 4, exp: NOW + MAX_STALENESS / 4 + MAX_STALENESS })
  t.equal(signatures(), 2)
})

await t.test('while the database is away nothing moves', async t => {
  const { read, advance, signatures } = startFeed()
  const before = await read()
  for (const seconds of [MAX_STALENESS / 2, MAX_STALENESS, 86_400]) {
    advance(seconds)
    t.strictSame(await read(), before, 'it says itself that it is over')
  }
  t.equal(signatures(), 1)
})

await t.test('the key that signs now signs it, so that it can be found in the JWKS', async t => {
  const { state, read, advance } = startFeed()
  await read()
  advance(60)
  state.signer = keyIn(freshRing(), 'k2')
  t.match(await read(), { kid: 'k2', iat: NOW }, 'and the database was not seen again for that')
})

await t.test('no key signs', async t => {
  const { state, feed, read } = startFeed()
  const { signer } = state
  state.signer = undefined
  await t.rejects(feed(), NoFeed, 'and none did before')
  state.signer = signer
  const before = await read()
  state.signer = undefined
  state.version = 2
  t.strictSame(await read(), before, 'the one from before')
})

await t.test('a vault that does not sign is not asked by each request', async t => {
  const { state, feed, read, advance, failures, signatures } = startFeed()
  state.broken = true
  await t.rejects(feed(), { name: 'NoFeed', cause: { message: 'the vault is broken' } })
  await t.rejects(feed(), NoFeed)
  t.equal(signatures(), 1)
  t.equal(failures.length, 1)
  advance(1)
  state.broken = false
  const before = await read()
  state.broken = true
  state.version = 2
  t.strictSame(await read(), before, 'the one from before is served on')
  t.equal(failures.length, 2, 'and it is said')
})

await t.test('a hundred thousand tokens do not keep everyone else waiting', async t => {
  const { state, read } = startFeed()
  state.held = { ...state.held, tokens: manyTokens(100_000) }
  let turns = 0
  let others = setImmediate(function takeTurn () {
    turns++
    others = setImmediate(takeTurn)
  })
  const { tokens } = await read()
  clearImmediate(others)
  t.equal(Object.keys(tokens).length, 100_000)
  t.match(tokens, { 'token-0': NOW, 'token-99999': NOW + 99_999 })
  t.ok(turns >= 100, `others had ${turns} turns meanwhile`)
})
