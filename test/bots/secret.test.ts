import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import t from 'tap'
import { digestSecret, generateSecret, looksLikeSecret, matchSecret, newSecret } from '../../src/bots/secret.ts'
import { at, START } from '../fakes/memory-rings.ts'

await t.test('a secret', async t => {
  await t.test('has a prefix, 256 random bits and a checksum', async t => {
    const secrets = Array.from({ length: 50 }, generateSecret)
    for (const secret of secrets) t.match(secret, /^mmk_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$/)
    t.equal(new Set(secrets).size, 50)
    for (const secret of secrets) {
      const random = secret.slice(4, 47)
      t.equal(Buffer.from(random, 'base64url').toString('base64url'), random, '32 bytes exactly')
      t.equal(fromBase62(secret.slice(47)), crc32(random), 'the checksum is CRC-32 in base62')
    }
  })

  await t.test('is told from noise by its checksum', async t => {
    const secret = generateSecret()
    t.ok(looksLikeSecret(secret))
    for (const place of [4, 20, 46, 47, 52]) {
      const other = secret[place] === 'A' ? 'B' : 'A'
      t.notOk(looksLikeSecret(secret.slice(0, place) + other + secret.slice(place + 1)), `a slip at ${place}`)
    }
    for (const text of ['', 'mmk_', secret.slice(1), `${secret}A`, ` ${secret}`, `${secret}\n`, secret.replace('mmk_', 'xyz_')]) t.notOk(looksLikeSecret(text), JSON.stringify(text))
  })

  await t.test('is kept as its SHA-256 digest, and as nothing else', async t => {
    const { secret, stored } = newSecret('ingestion-bot', { now: START, description: 'nightly' })
    t.equal(stored.digest, createHash('sha256').update(secret).digest('base64url'))
    t.equal(digestSecret(secret), stored.digest)
    const kept = JSON.stringify(stored)
    t.notOk(kept.includes(secret.slice(4, 20)) || kept.includes(secret.slice(-12)))
  })

  await t.test('lives for ever unless told otherwise', async t => {
    t.match(newSecret('ingestion-bot', { now: START }).stored, { bot: 'ingestion-bot', createdAt: START, expiresAt: null, lastUsedAt: null, description: null })
    t.match(newSecret('ingestion-bot', { now: START, expiresInSeconds: 60, description: 'nightly' }).stored, { expiresAt: at(60), description: 'nightly' })
    t.not(newSecret('a', { now: START }).stored.id, newSecret('a', { now: START }).stored.id)
  })
})

await t.test('a secret that is presented', async t => {
  const [first, second, shortLived] = [newSecret('a', { now: START }), newSecret('a', { now: START }), newSecret('a', { now: START, expiresInSeconds: 60 })]
  const kept = [first, second, shortLived].map(({ stored }) => stored)

  await t.test('is found among several that live side by side', async t => {
    for (const { secret, stored } of [first, second, shortLived]) t.equal(matchSecret(secret, kept, START), stored)
  })

  await t.test('is not found if it is none of them', async t => {
    for (const text of [generateSecret(), '', first.secret.slice(0, -1), `${first.secret} `, first.stored.digest, 'mmk_ünïcode']) t.equal(matchSecret(text, kept, START), null)
    t.equal(matchSecret(first.secret, [], START), null)
    t.equal(matchSecret(first.secret, [second.stored], START), null)
  })

  await t.test('is good until it expires, not at that moment', async t => {
    t.equal(matchSecret(shortLived.secret, kept, at(59.999)), shortLived.stored)
    t.equal(matchSecret(shortLived.secret, kept, at(60)), null)
    t.equal(matchSecret(first.secret, kept, at(1e9)), first.stored)
  })
})

function fromBase62 (digits: string): number {
  const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
  return Array.from(digits).reduce((number, digit) => number * 62 + alphabet.indexOf(digit), 0)
}
