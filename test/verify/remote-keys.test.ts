/** Keys of an issuer elsewhere: who may have them fetched, and what is said while they cannot be. Through the service: cognito.test.ts. */
import t from 'tap'
import type { GetOptions, Page } from '../../src/verify/http-get.ts'
import { createRemoteKeys } from '../../src/verify/remote-keys.ts'
import { movableClock } from '../fakes/clock.ts'
import { makePoolKey } from '../fakes/pool.ts'

const KEYS = [await makePoolKey(), await makePoolKey()]
const [FIRST, SECOND] = KEYS.map(key => key.kid) as [string, string]

function start () {
  const time = movableClock()
  const world = { published: KEYS.slice(0, 1), isAway: false, asked: [] as GetOptions[] }
  const keys = createRemoteKeys({
    jwksUri: 'https://tokens.example.com/jwks',
    clock: time.clock,
    refreshAfterSeconds: 300,
    async get (_url, options): Promise<Page> {
      world.asked.push(options)
      if (world.isAway) throw new Error('away')
      const etag = `"${world.published.length}"`
      return options.etag === etag ? { status: 304, etag, text: '' } : { status: 200, etag, text: JSON.stringify({ keys: world.published.map(key => key.jwk) }) }
    }
  })
  return { ...time, world, keys }
}

await t.test('made-up kids have them fetched once in ten seconds', async t => {
  const { keys, world, advance } = start()
  await keys.find(FIRST)
  for (let kid = 0; kid < 100; kid++) t.equal(await keys.find(`made-up-${kid}`), undefined)
  t.equal(world.asked.length, 2)
  advance(9)
  await keys.find('made-up')
  t.equal(world.asked.length, 2)
  advance(1)
  await keys.find('made-up')
  t.equal(world.asked.length, 3)
})

await t.test('what is fetched ahead of need starts no cooldown, and knows none', async t => {
  const { keys, world } = start()
  t.ok(await keys.refresh())
  t.ok(keys.held(FIRST))
  await keys.refresh()
  world.published = KEYS
  t.ok(await keys.find(SECOND), 'a new key is found at once')
  await keys.find('made-up')
  const before = world.asked.length
  await keys.refresh()
  t.equal(world.asked.length, before + 1)
})

await t.test('a key that was published while a fetch was under way is found all the same', async t => {
  const { keys, world } = start()
  await keys.refresh()
  const underWay = keys.refresh()
  world.published = KEYS
  const asked = world.asked.length
  t.ok((await Promise.all([keys.find(SECOND), keys.find(SECOND), keys.find('made-up')]))[0])
  await underWay
  t.equal(world.asked.length, asked + 1, 'by one fetch more, for all of them')
})

await t.test('when an outage ends, its quiet ends, too', async t => {
  const { keys, world } = start()
  world.isAway = true
  await t.rejects(async () => await keys.find(FIRST), { code: 'keys_unavailable' })
  world.isAway = false
  await keys.refresh()
  world.published = KEYS
  t.ok(await keys.find(SECOND))
})

await t.test('whoever has waited for a fetch that fails does not wait for another', async t => {
  const { keys, world } = start()
  world.isAway = true
  const underWay = keys.refresh()
  await t.rejects(async () => await keys.find(FIRST), { code: 'keys_unavailable' })
  await underWay
  t.equal(world.asked.length, 1)
})

await t.test('304: they are still the same', async t => {
  const { keys, world } = start()
  await keys.refresh()
  t.ok(await keys.refresh())
  t.strictSame(world.asked.map(({ etag }) => etag), [null, '"1"'])
  t.ok(await keys.find(FIRST))
})

await t.test('while the issuer is away: known keys are good, of others nobody can tell', async t => {
  const { keys, world, advance } = start()
  await keys.refresh()
  world.isAway = true
  t.notOk(await keys.refresh())
  t.ok(await keys.find(FIRST))
  await t.rejects(async () => await keys.find(SECOND), { code: 'keys_unavailable' }, 'not that it is unknown')
  world.isAway = false
  world.published = KEYS
  advance(10)
  t.ok(await keys.find(SECOND))
})
