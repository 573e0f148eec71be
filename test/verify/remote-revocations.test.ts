/** What a verifier elsewhere makes of the feeds that it is given: which it takes, which it ignores, and how long it relies on one. */
import t from 'tap'
import { toVerificationKey, type VerificationKey } from '../../src/keys/verification-key.ts'
import type { FeedClaims } from '../../src/tokens/claims.ts'
import type { Page } from '../../src/verify/http-get.ts'
import { createRemoteRevocations } from '../../src/verify/remote-revocations.ts'
import { movableClock } from '../fakes/clock.ts'
import { forge, rs256 } from '../fakes/pool-forge.ts'
import { makePoolKey, type PoolKey } from '../fakes/pool.ts'

const ISSUER = 'https://tokens.example.com'
const KEYS = { first: await makePoolKey(), second: await makePoolKey(), stranger: await makePoolKey() }
const verificationKeyOf = ({ kid, jwk: { n = '', e = '' } }: PoolKey): VerificationKey => toVerificationKey(kid, { n, e })

function start () {
  const time = movableClock()
  const seconds = (): number => Math.floor(time.clock().getTime() / 1000)
  const jwks = { published: [KEYS.first], held: new Map<string, VerificationKey>(), fetches: 0 }
  const asked: Array<string | null | undefined> = []
  const errors: unknown[] = []
  let answer: () => Promise<Page> = async () => { throw new Error('away') }
  const revocations = createRemoteRevocations({
    uri: `${ISSUER}/feed`,
    issuer: ISSUER,
    keys: {
      held: kid => jwks.held.get(kid),
      async refresh () {
        jwks.fetches++
        jwks.held = new Map(jwks.published.map(key => [key.kid, verificationKeyOf(key)]))
        return true
      }
    },
    clock: time.clock,
    clockToleranceSeconds: 5,
    async get (_url, { etag }) {
      asked.push(etag)
      return await answer()
    },
    onFetched ({ error }) { if (error !== undefined) errors.push(error) }
  })
  const feed = async (claims: Partial<FeedClaims> = {}, key = KEYS.first, header: object = {}): Promise<string> =>
    await forge({ alg: 'RS256', typ: 'revocations+jwt', kid: key.kid, ...header }, { iss: ISSUER, iat: seconds(), exp: seconds() + 300, version: 1, keys: [], bots: {}, disabled: [], runs: [], tokens: {}, legacy: [], ...claims }, rs256(key.privateKey))
  /** Has the next fetch answered with a feed. */
  const hear = async (text: string | Promise<string>, etag = '"x"'): Promise<boolean> => {
    const page = { status: 200, etag, text: await text }
    answer = async () => page
    return await revocations.refresh()
  }
  return { ...time, revocations, jwks, asked, errors, seconds, feed, hear, answerWith: (next: () => Promise<Page>): void => { answer = next } }
}

await t.test('nothing is relied on before the first feed', async t => {
  const { revocations, feed, hear, jwks } = start()
  t.equal(await revocations.refresh(), false)
  t.ok(revocations.isStale())
  t.notOk(revocations.hasFeed())
  t.ok(await hear(feed({ tokens: { a: 1 }, bots: { b: 7 }, disabled: ['c'], keys: ['k'], runs: [{ bot: 'd', run: 'r', until: 9 }] })))
  t.notOk(revocations.isStale())
  t.equal(jwks.fetches, 1, 'the key that signed it was fetched')
  t.strictSame([revocations.isTokenRevoked('a'), revocations.notBefore('b'), revocations.isBotDisabled('c'), revocations.isKeyRevoked('k'), revocations.isRunRevoked('d', 'r'), revocations.isRunRevoked('e', 'r')], [true, 7, true, true, true, false])
  for (const name of ['constructor', '__proto__', 'toString']) t.strictSame([revocations.isTokenRevoked(name), revocations.notBefore(name), revocations.isBotDisabled(name)], [false, 0, false], name)
})

await t.test('an older one is ignored', async t => {
  const { revocations, feed, hear, asked, advance, seconds } = start()
  const replayed = feed({ version: 4 })
  await hear(feed({ version: 5, tokens: { a: 1 } }), '"five"')
  t.ok(await hear(replayed, '"four"'), 'which is no failure: a replica may lag')
  t.ok(revocations.isTokenRevoked('a'))
  await revocations.refresh()
  t.equal(asked.at(-1), '"five"', 'what is held is what is asked about')

  await hear(feed({ version: 5, iat: seconds() - 60, exp: seconds() + 240 }))
  t.ok(revocations.isTokenRevoked('a'), 'so is one of the same version that was looked at earlier')
  advance(60)
  await hear(feed({ version: 5, tokens: { a: 1 } }))
  advance(299)
  t.notOk(revocations.isStale(), 'while one that was looked at later lasts longer')
})

await t.test('when it is over nothing is relied on, and what comes then is not older than it', async t => {
  const { revocations, feed, hear, advance } = start()
  const first = await feed({ version: 9, tokens: { a: 1 } })
  await hear(first)
  advance(299)
  t.notOk(revocations.isStale())
  advance(1)
  t.ok(revocations.isStale())
  t.ok(revocations.isTokenRevoked('a'), 'what was revoked stays so')
  await hear(first)
  t.ok(revocations.isStale(), 'a replay of it does not help')
  await hear(feed({ version: 3 }))
  t.notOk(revocations.isStale(), 'after a restore from a backup the issuer counts on from there')
})

await t.test('304: what is held is what there is', async t => {
  const { revocations, feed, hear, answerWith, advance, asked } = start()
  await hear(feed(), '"one"')
  answerWith(async () => ({ status: 304, etag: '"one"', text: '' }))
  t.equal(await revocations.refresh(), true)
  t.equal(asked.at(-1), '"one"')
  advance(300)
  await revocations.refresh()
  t.ok(revocations.isStale(), 'for no longer than it says itself')
})

await t.test('a feed that is taken makes another edition, and nothing else does', async t => {
  const { revocations, feed, hear, answerWith } = start()
  const none = revocations.edition()
  await revocations.refresh()
  t.equal(revocations.edition(), none)
  await hear(feed({ version: 2 }))
  const first = revocations.edition()
  t.not(first, none)
  await hear(feed({ version: 1 }))
  answerWith(async () => ({ status: 304, etag: '"x"', text: '' }))
  await revocations.refresh()
  answerWith(async () => { throw new Error('away') })
  await revocations.refresh()
  t.equal(revocations.edition(), first)
  await hear(feed({ version: 3, tokens: { a: 1 } }))
  t.not(revocations.edition(), first)
})

await t.test('what is no feed of the issuer is refused, and what is held stays', async t => {
  const { revocations, feed, hear, errors, seconds, answerWith } = start()
  await hear(feed({ version: 1, tokens: { a: 1 } }))
  const good = { version: 2 }
  const [header = '', payload = '', signature = ''] = (await feed(good)).split('.')
  const other = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()) as object, tokens: {}, version: 3 })).toString('base64url')
  const refused: Record<string, string> = {
    'a bot\'s token': await feed(good, KEYS.first, { typ: 'at+jwt' }),
    'a JWT': await feed(good, KEYS.first, { typ: 'JWT' }),
    'no typ': await feed(good, KEYS.first, { typ: undefined }),
    'another algorithm': await feed(good, KEYS.first, { alg: 'none' }),
    'no kid': await feed(good, KEYS.first, { kid: undefined }),
    'a key that the issuer does not have': await feed(good, KEYS.stranger),
    'another key under a known kid': await feed(good, KEYS.stranger, { kid: KEYS.first.kid }),
    'other content': [header, other, signature].join('.'),
    'another issuer\'s': await feed({ ...good, iss: 'https://evil.example' }),
    'from the future': await feed({ ...good, iat: seconds() + 60 }),
    'without tokens': await feed({ ...good, tokens: undefined as never }),
    'tokens in another form': await feed({ ...good, tokens: ['a'] as never }),
    'a version that is no number': await feed({ ...good, version: '2' as never }),
    'a page': '<html>not found</html>',
    nothing: ''
  }
  for (const [name, text] of Object.entries(refused)) {
    errors.length = 0
    t.equal(await hear(text), false, name)
    t.equal(errors.length, 1, `${name}: it is said`)
    t.ok(revocations.isTokenRevoked('a'), `${name}: what is held stays`)
  }
  answerWith(async () => ({ status: 500, etag: null, text: '' }))
  t.equal(await revocations.refresh(), false, 'an error of the server')
})

await t.test('an emergency: the next feed is signed by a key that may not be in hand yet', async t => {
  const { revocations, feed, hear, jwks } = start()
  await hear(feed({ version: 7 }))
  const forged = await feed({ version: 99, keys: [] }, KEYS.first)
  jwks.published = [KEYS.second]
  t.ok(await hear(feed({ version: 8, keys: [KEYS.first.kid] }, KEYS.second)))
  t.ok(revocations.isKeyRevoked(KEYS.first.kid))
  t.equal(await hear(forged), false, 'the revoked key signs no newer one')
  t.ok(revocations.isKeyRevoked(KEYS.first.kid))
})

await t.test('whatever a stolen key has signed gives way to the feed that revokes it', async t => {
  const { revocations, feed, hear, jwks } = start()
  jwks.published = [KEYS.first, KEYS.second]
  await hear(feed({ version: 1_000_000 }, KEYS.first))
  await hear(feed({ version: 8, keys: [KEYS.first.kid], tokens: { a: 1 } }, KEYS.second))
  t.ok(revocations.isTokenRevoked('a'))
})

await t.test('a change may be a new key: it is in hand before it signs', async t => {
  const { feed, hear, jwks } = start()
  await hear(feed({ version: 1 }))
  t.equal(jwks.fetches, 1)
  await hear(feed({ version: 1 }))
  t.equal(jwks.fetches, 1, 'nothing has changed')
  await hear(feed({ version: 2 }))
  t.equal(jwks.fetches, 2)
})

await t.test('legacy keys', async t => {
  const { revocations, feed, hear, seconds, advance } = start()
  const legacy = (key: PoolKey, kid: string, verifiesUntil: number): FeedClaims['legacy'][number] => ({ issuer: 'open-metadata.org', kid, n: key.jwk.n ?? '', e: key.jwk.e ?? '', verifiesUntil })
  t.notOk(revocations.legacyKeys.knowsIssuer('open-metadata.org'))
  await hear(feed({ exp: seconds() + 9_000, keys: ['lost'], legacy: [legacy(KEYS.stranger, 'om', seconds() + 600), legacy(KEYS.second, 'lost', seconds() - 1)] }))
  const { find, knowsIssuer, verifiesUntil } = revocations.legacyKeys
  t.ok(knowsIssuer('open-metadata.org'))
  t.match(find('open-metadata.org', 'om'), { found: 'key', key: { kid: 'om' } })
  t.strictSame(find('open-metadata.org', 'lost'), { found: 'revoked' })
  t.strictSame(find('elsewhere', 'om'), { found: 'nothing' }, 'a key verifies tokens of its own issuer only')
  t.equal(verifiesUntil('om')?.getTime(), (seconds() + 600) * 1000)
  advance(600)
  t.strictSame(find('open-metadata.org', 'om'), { found: 'nothing' }, 'its time is over')
})

await t.test('whoever needs a feed waits for it, and asks for it once a second at most', async t => {
  const { revocations, feed, answerWith, asked, advance } = start()
  const text = await feed()
  const page = Promise.withResolvers<Page>()
  answerWith(async () => await page.promise)
  const waiting = [revocations.settle(), revocations.settle()]
  page.reject(new Error('away'))
  await Promise.all(waiting)
  t.equal(asked.length, 1, 'together')
  await revocations.settle()
  t.equal(asked.length, 1, 'it was just tried')
  advance(1)
  answerWith(async () => ({ status: 200, etag: '"x"', text }))
  await revocations.settle()
  t.notOk(revocations.isStale())
  await revocations.settle()
  t.equal(asked.length, 2, 'nobody asks for what is held')
})
