import { setTimeout as sleep } from 'node:timers/promises'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet } from 'jose'
import t from 'tap'
import { draftBot, type BotDraft } from '../../src/bots/bot-draft.ts'
import { renderJwks } from '../../src/keys/jwks.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { createLocalVault } from '../../src/keys/local-vault.ts'
import { settle } from '../../src/keys/rotation-plan.ts'
import { createRotator } from '../../src/keys/rotator.ts'
import { CannotMint, createMint, type Grant, type Mint, type MintedToken, type MintParts, type MintPolicy } from '../../src/tokens/mint.ts'
import { movableClock } from '../fakes/clock.ts'
import { memoryKeyStore } from '../fakes/memory-key-store.ts'
import { DAY, HOUR, ISSUER, POLICY, START } from '../fakes/memory-rings.ts'

const vault = createLocalVault([Buffer.alloc(32)], 2048)
const RING = settle([], [await vault.generate(), await vault.generate()], POLICY, START)
const MINT_POLICY: MintPolicy = { ...POLICY, tokenTyp: 'at+jwt', principalDomain: 'open-metadata.org', tokenTtlSeconds: HOUR, maxTokenTtlSeconds: DAY }
const IAT = START.getTime() / 1000

const bot = (draft: BotDraft = {}): Grant['bot'] => draftBot('ingestion-bot', draft, ['metadata-api'], START)

const NOTHING_REVOKED: MintParts['revocations'] = { isStale: () => false, isRunRevoked: () => false, notBefore: () => 0 }

/** A mint over a settled ring, at {@link START}. */
async function startMint (policy: Partial<MintPolicy> = {}, revocations: Partial<MintParts['revocations']> = {}): Promise<{ mint: (grant?: Partial<Grant>) => Promise<MintedToken & { header: object, payload: Record<string, unknown> }>, advance: (seconds: number) => void, kidThatSigns: () => string | undefined, untilIssuable: Mint['untilIssuable'] }> {
  const { clock, advance } = movableClock(START)
  const store = memoryKeyStore(RING)
  const ring = createKeyRing(store, clock)
  await ring.refresh()
  const rotator = createRotator({ ring, store, vault, policy: POLICY, clock })
  const mint: Mint = createMint({ ring, rotator, vault, revocations: { ...NOTHING_REVOKED, ...revocations }, policy: { ...MINT_POLICY, ...policy }, clock })
  return {
    advance,
    untilIssuable: mint.untilIssuable,
    kidThatSigns: () => ring.signing()?.kid,
    async mint (grant = {}) {
      const minted = await mint({ bot: bot(), scopes: [], audiences: ['metadata-api'], ...grant })
      const jwks = JSON.parse(renderJwks(ring.all(), clock()).body.toString()) as JSONWebKeySet
      const { payload } = await jwtVerify(minted.token, createLocalJWKSet(jwks), { algorithms: ['RS256'], currentDate: clock() })
      return { ...minted, header: decodeProtectedHeader(minted.token), payload }
    }
  }
}

await t.test('the queue for signatures is bounded, and moves on', async t => {
  const { clock } = movableClock(START)
  const store = memoryKeyStore(RING)
  const ring = createKeyRing(store, clock)
  await ring.refresh()
  const rotator = createRotator({ ring, store, vault, policy: POLICY, clock })
  const mint = createMint({ ring, rotator, vault, revocations: NOTHING_REVOKED, policy: MINT_POLICY, clock, mostUnderWay: 3 })
  const grant: Grant = { bot: bot(), scopes: [], audiences: ['metadata-api'] }
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, async () => await mint(grant)))
  t.strictSame(outcomes.map(({ status }) => status), ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'])
  t.ok(outcomes[4]?.status === 'rejected' && outcomes[4].reason instanceof CannotMint)
  t.ok(await mint(grant), 'when these are signed there is room again')

  const broken = createMint({ ring, rotator, vault: { ...vault, sign: async () => { throw new Error('broken') } }, revocations: NOTHING_REVOKED, policy: MINT_POLICY, clock, mostUnderWay: 1 })
  for (let time = 0; time < 3; time++) await t.rejects(broken(grant), { message: 'broken' }, 'a failure leaves its place')
})

await t.test('a bot token', async t => {
  await t.test('says exactly what the contract says, and jose verifies it by the JWKS', async t => {
    const { mint } = await startMint()
    const { payload, tokenId } = await mint({ bot: bot({ roles: ['IngestionBotRole'] }), scopes: ['metadata:read', 'metadata:write'] })
    t.strictSame(payload, {
      iss: ISSUER,
      sub: 'ingestion-bot',
      aud: 'metadata-api',
      client_id: 'ingestion-bot',
      iat: IAT,
      exp: IAT + HOUR,
      jti: tokenId,
      scope: 'metadata:read metadata:write',
      roles: ['IngestionBotRole'],
      email: 'ingestion-bot@open-metadata.org',
      preferred_username: 'ingestion-bot',
      isBot: true,
      tokenType: 'BOT'
    })
  })

  await t.test('has a header of three', async t => {
    const { mint, kidThatSigns } = await startMint()
    t.strictSame((await mint()).header, { alg: 'RS256', typ: 'at+jwt', kid: kidThatSigns() })
  })

  await t.test('bears the typ of the settings', async t => {
    const { mint } = await startMint({ tokenTyp: 'JWT' })
    t.match((await mint()).header, { typ: 'JWT' })
  })

  await t.test('has one audience as a string, several as an array', async t => {
    const { mint } = await startMint()
    t.equal((await mint({ audiences: ['one'] })).payload.aud, 'one')
    t.strictSame((await mint({ audiences: ['two', 'one'] })).payload.aud, ['two', 'one'])
  })

  await t.test('has no scope where none is granted, whatever the bot has', async t => {
    const { mint } = await startMint()
    t.notOk('scope' in (await mint({ bot: bot({ scopes: ['metadata:write'] }), scopes: [] })).payload)
  })

  await t.test('has the bot\'s own e-mail address, if there is one', async t => {
    const { mint } = await startMint({ principalDomain: 'example.com' })
    t.equal((await mint()).payload.email, 'ingestion-bot@example.com')
    t.equal((await mint({ bot: bot({ email: 'etl@corp.example' }) })).payload.email, 'etl@corp.example')
  })

  await t.test('has an id of 128 bits that never comes twice', async t => {
    const { mint } = await startMint()
    const ids = await Promise.all(Array.from({ length: 20 }, async () => (await mint()).tokenId))
    t.equal(new Set(ids).size, 20)
    for (const id of ids) t.match(id, /^[A-Za-z0-9_-]{22}$/)
  })

  await t.test('counts whole seconds, from the second that has begun', async t => {
    const { mint, advance } = await startMint()
    advance(0.999)
    const { payload, expiresAt } = await mint()
    t.match(payload, { iat: IAT, exp: IAT + HOUR })
    t.same(expiresAt, new Date((IAT + HOUR) * 1000))
  })
})

await t.test('the life of a token', async t => {
  const lives: Array<[what: string, lifeSeconds: number, grant: Partial<Grant>]> = [
    ['is the default of the settings', HOUR, {}],
    ['is the bot\'s, if it has one', 900, { bot: bot({ tokenTtlSeconds: 900 }) }],
    ['is what is asked for, before the bot\'s', 60, { bot: bot({ tokenTtlSeconds: 900 }), ttlSeconds: 60 }],
    ['is never over the ceiling, whatever is asked for', DAY, { ttlSeconds: 90 * DAY }],
    ['is never over the ceiling, whatever the bot has', DAY, { bot: bot({ tokenTtlSeconds: DAY + 1 }) }]
  ]
  for (const [what, lifeSeconds, grant] of lives) {
    await t.test(what, async t => {
      const { payload, expiresInSeconds, expiresAt } = await (await startMint()).mint(grant)
      t.equal(payload.exp, IAT + lifeSeconds)
      t.equal(expiresInSeconds, lifeSeconds)
      t.same(expiresAt, new Date((IAT + lifeSeconds) * 1000))
    })
  }
})

await t.test('the key of a token', async t => {
  await t.test('is the one that signs now', async t => {
    const { mint, advance } = await startMint()
    advance(30 * DAY - 1)
    t.match((await mint()).header, { kid: RING[0]?.kid })
    advance(1)
    t.match((await mint()).header, { kid: RING[1]?.kid })
  })

  await t.test('outlives it, also when a sleep has left the ring behind', async t => {
    const { mint, advance } = await startMint()
    advance(1_000 * DAY)
    const { header, payload } = await mint({ ttlSeconds: DAY })
    t.match(header, { kid: RING[1]?.kid })
    t.equal(payload.exp, IAT + 1_001 * DAY)
  })

  await t.test('is not to be had if none outlives it', async t => {
    const { mint } = await startMint({ maxTokenTtlSeconds: 90 * DAY })
    await t.rejects(mint({ ttlSeconds: 90 * DAY }), CannotMint)
    await t.resolves(mint({ ttlSeconds: 31 * DAY }), 'its last second, with the clock tolerance, is the key\'s')
    await t.rejects(mint({ ttlSeconds: 31 * DAY + 1 }), CannotMint)
  })

  await t.test('is not to be had in an empty ring that nobody settles', async t => {
    const { clock } = movableClock(START)
    const ring = createKeyRing(memoryKeyStore(), clock)
    const mint = createMint({ ring, rotator: { settle: async () => {} }, vault, revocations: NOTHING_REVOKED, policy: MINT_POLICY, clock })
    await t.rejects(mint({ bot: bot(), scopes: [], audiences: ['metadata-api'] }), CannotMint)
  })
})

await t.test('after a revocation', async t => {
  await t.test('of all of a bot\'s tokens, one that is asked for in the same second is issued when that is over', async t => {
    const asked: string[] = []
    const notBefore = (name: string): number => { asked.push(name); return IAT + 1 }
    const { mint, advance, untilIssuable } = await startMint({}, { notBefore })
    advance(0.9)
    const waiting = untilIssuable('ingestion-bot')
    t.equal(await Promise.race([waiting, sleep(90, 'not yet')]), 'not yet', 'a timer of 90 ms of the 100, begun at the same time, comes before it')
    t.equal(await waiting, true)
    const { payload } = await mint()
    t.match(payload, { iat: IAT + 1, exp: IAT + 1 + HOUR })
    t.ok(asked.length > 0 && asked.every(name => name === 'ingestion-bot'))
  })

  await t.test('that is long over, a token is issued now', async t => {
    const { mint, advance, untilIssuable } = await startMint({}, { notBefore: () => IAT + 1 })
    advance(60)
    t.equal(await untilIssuable('ingestion-bot'), false)
    t.equal((await mint()).payload.iat, IAT + 60)
  })

  await t.test('that may have been missed, there is none to be had', async t => {
    const { mint } = await startMint({}, { isStale: () => true })
    await t.rejects(mint(), CannotMint)
  })
})
