/** What is remembered of verified tokens, and how much of it; what such a cache must not do stands in cache-attacks.test.ts. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { VerificationKey } from '../../src/keys/verification-key.ts'
import { createVerifiedTokens } from '../../src/verify/verified-tokens.ts'

const key = (kid: string): VerificationKey => ({ kid } as VerificationKey)
const K1 = key('k1')
const NOW = new Date('2026-11-22T10:00:00.000Z')
const later = (seconds: number): Date => new Date(NOW.getTime() + seconds * 1000)
const EXP = NOW.getTime() / 1000 + 3600

const token = (name: string, claims: object = {}, by = K1) => ({ header: { alg: 'RS256', kid: by.kid }, payload: { jti: name, exp: EXP, ...claims }, key: by })
const rawOf = (name: string, length = 1000): string => name.padStart(length, '.')
const judged = (name: string, claims: object = {}, by = K1, length = 1000) => ({ ...token(name, claims, by), raw: rawOf(name, length), now: NOW })

await t.test('what a token says, and the key that signed it', async t => {
  const tokens = createVerifiedTokens()
  t.equal(tokens.recall(rawOf('a'), NOW), undefined)
  tokens.remember(judged('a', { roles: ['r'], deep: [{ list: [1, null, 'x'] }] }))
  t.match(tokens.recall(rawOf('a'), NOW), token('a', { roles: ['r'], deep: [{ list: [1, null, 'x'] }] }))
  t.equal(tokens.recall(rawOf('a'), NOW)?.key, K1)
  t.equal(tokens.recall(rawOf('b'), NOW), undefined)
})

await t.test('no entry outlives its token, whether or not it is asked for', async t => {
  const tokens = createVerifiedTokens()
  tokens.remember(judged('asked'))
  tokens.remember(judged('forgotten', { exp: EXP - 100 }))
  tokens.remember(judged('endless', { exp: null }))
  t.ok(tokens.recall(rawOf('asked'), later(3599)))
  t.equal(tokens.held().tokens, 2, 'the forgotten one is swept out')
  t.equal(tokens.recall(rawOf('asked'), later(3600)), undefined)
  tokens.remember({ ...judged('over'), now: later(3601) })
  tokens.recall(rawOf('nothing'), later(3700))
  t.equal(tokens.held().tokens, 1, 'one that is over does not get in again')
  t.ok(tokens.recall(rawOf('endless'), later(1e6)), 'which lasts as long as its key')
})

await t.test('with a key go all of its tokens, and no other', async t => {
  const tokens = createVerifiedTokens()
  const namesake = key('k1')
  for (let number = 0; number < 10; number++) tokens.remember(judged(`a${number}`))
  tokens.remember(judged('b', {}, namesake))
  tokens.dropKey(K1)
  t.strictSame(tokens.held().tokens, 1)
  t.ok(tokens.recall(rawOf('b'), NOW))
})

await t.test('a flood of good tokens stays within the bounds, and whoever comes back stays known', async t => {
  const tokens = createVerifiedTokens({ tokens: 100, bytes: 1e9 })
  tokens.remember(judged('regular'))
  for (let number = 0; number < 10_000; number++) {
    tokens.remember(judged(`f${number}`))
    if (number % 40 === 0) t.ok(tokens.recall(rawOf('regular'), NOW), `after ${number}`)
    if (tokens.held().tokens > 100) t.fail(`${tokens.held().tokens} are held`)
  }
  t.ok(tokens.recall(rawOf('f9999'), NOW), 'the latest is known')
  t.equal(tokens.recall(rawOf('f1'), NOW), undefined, 'the oldest is not')
})

await t.test('bounded in bytes, too: large tokens push each other out, and one that is too large is not kept', async t => {
  const tokens = createVerifiedTokens({ tokens: 1000, bytes: 100_000 })
  for (let number = 0; number < 1000; number++) {
    tokens.remember(judged(`f${number}`, {}, K1, 8192))
    if (tokens.held().bytes > 100_000) t.fail(`${tokens.held().bytes} bytes are held`)
  }
  t.ok(tokens.held().tokens > 3)
  tokens.remember(judged('huge', {}, K1, 50_000))
  t.equal(tokens.recall(rawOf('huge'), NOW), undefined)
  tokens.dropKey(K1)
  t.strictSame(tokens.held(), { tokens: 0, bytes: 0 }, 'what is counted in is counted out')
})

await t.test('the same token twice is one entry', async t => {
  const tokens = createVerifiedTokens()
  for (let time = 0; time < 3; time++) tokens.remember(judged('a'))
  const once = createVerifiedTokens()
  once.remember(judged('a'))
  t.strictSame(tokens.held(), once.held())
})

await t.test('a token is known by all of its characters, wherever its entry is found', async t => {
  const tokens = createVerifiedTokens({ tokens: 4, bytes: 1e9 })
  const raw = judged('a').raw
  const others = [`${raw}.`, `.${raw}`, raw.slice(1), `-${raw.slice(1)}`, `${raw.slice(0, 500)}-${raw.slice(501)}`, raw.toUpperCase(), raw.slice(-24), '']
  for (const place of ['younger', 'older']) {
    tokens.remember(judged('a'))
    if (place === 'older') for (const name of ['b', 'c']) tokens.remember(judged(name))
    for (const other of others) t.equal(tokens.recall(other, NOW), undefined, `${place}: ${other.slice(-30)}`)
    t.ok(tokens.recall(raw, NOW), `the token itself, in the ${place} half`)
  }
  const sameEnd = { ...judged('a'), raw: `-${raw.slice(1)}` }
  tokens.remember(sameEnd)
  t.equal(tokens.recall(raw, NOW), undefined, 'one of the same end takes its place')
  t.ok(tokens.recall(sameEnd.raw, NOW))
})

await t.test('a header that is kept keeps no token in memory', async t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const heldBytes = (): number => { collect(); return process.memoryUsage().heapUsed }
  const tokens = createVerifiedTokens()
  const before = heldBytes()
  for (let number = 0; number < 900; number++) {
    const raw = Buffer.from(`header-of-some-length-${number}.${'p'.repeat(6_000)}.${'s'.repeat(342)}${number}`).toString('latin1')
    tokens.remember({ ...judged(String(number)), raw })
  }
  tokens.dropKey(K1)
  t.ok(tokens.headers.get('header-of-some-length-7'))
  t.ok(heldBytes() - before < 900 * 2_000)
})
