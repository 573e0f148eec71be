import t from 'tap'
import type { Bot, StoredSecret } from '../../src/bots/bot.ts'
import { createBotCache, type BotCache } from '../../src/bots/bot-cache.ts'
import { plainBot, plainSecret } from '../conformance/stores.ts'

class Away extends Error { override name = 'Away' }

interface Cached {
  cache: BotCache
  /** What is asked of the database, in order. */
  asked: string[]
  bots: Map<string, Bot>
  secrets: Map<string, StoredSecret[]>
  goAway: () => void
}

function cacheOver (...known: Bot[]): Cached {
  const bots = new Map(known.map(bot => [bot.name, bot]))
  const secrets = new Map(known.map(({ name }) => [name, [plainSecret(name)]]))
  const asked: string[] = []
  let isAway = false
  const answer = async <T>(question: string, value: () => T): Promise<T> => {
    asked.push(question)
    if (isAway) throw new Away()
    return value()
  }
  const cache = createBotCache({
    find: async name => await answer(`bot ${name}`, () => bots.get(name) ?? null),
    findByCognitoClient: async id => await answer(`client ${id}`, () => [...bots.values()].find(bot => bot.cognitoClientIds.includes(id)) ?? null),
    list: async () => []
  }, { list: async name => await answer(`secrets of ${name}`, () => secrets.get(name) ?? []) }, error => error instanceof Away)
  return { cache, asked, bots, secrets, goAway: () => { isAway = true } }
}

await t.test('asks once, also for who is not there', async t => {
  const { cache, asked } = cacheOver(plainBot('a-bot'))
  for (let time = 0; time < 3; time++) {
    t.equal((await cache.find('a-bot'))?.name, 'a-bot')
    t.equal(await cache.find('nobody'), null)
    t.equal((await cache.secretsOf('a-bot')).length, 1)
    t.equal(await cache.findByCognitoClient('c1'), null)
  }
  t.same(asked, ['bot a-bot', 'bot nobody', 'secrets of a-bot', 'client c1'])
})

await t.test('after a change somewhere it asks anew; while it cannot, what it knew still serves', async t => {
  const { cache, asked, bots, goAway } = cacheOver(plainBot('a-bot'), plainBot('b-bot'))
  await cache.find('a-bot')
  await cache.find('b-bot')
  bots.set('a-bot', { ...plainBot('a-bot'), enabled: false })
  cache.expire()
  t.equal((await cache.find('a-bot'))?.enabled, false)
  t.equal(asked.length, 3)
  cache.expire()
  goAway()
  t.equal((await cache.find('a-bot'))?.enabled, false)
  t.equal((await cache.find('b-bot'))?.name, 'b-bot', 'as it was before the first change, too')
  await t.rejects(cache.find('c-bot'), Away, 'nobody ever asked for it')
})

await t.test('what was changed here never serves again, all else does', async t => {
  const { cache, goAway } = cacheOver(plainBot('a-bot', { cognitoClientIds: ['c1'] }), plainBot('b-bot', { cognitoClientIds: ['c2'] }))
  for (const name of ['a-bot', 'b-bot']) {
    await cache.find(name)
    await cache.secretsOf(name)
  }
  for (const id of ['c1', 'c2', 'c3']) await cache.findByCognitoClient(id)
  cache.forget('a-bot')
  goAway()
  await t.rejects(cache.find('a-bot'), Away)
  await t.rejects(cache.secretsOf('a-bot'), Away, 'a secret that was ended opens nothing')
  await t.rejects(cache.findByCognitoClient('c1'), Away)
  await t.rejects(cache.findByCognitoClient('c3'), Away, 'it may be a client of that bot now')
  t.equal((await cache.find('b-bot'))?.name, 'b-bot')
  t.equal((await cache.secretsOf('b-bot')).length, 1)
  t.equal((await cache.findByCognitoClient('c2'))?.name, 'b-bot')
})

await t.test('an answer that was under way when something changed is given, and counts as old', async t => {
  for (const change of ['expire', 'forget'] as const) {
    const { cache, asked, bots, goAway } = cacheOver(plainBot('a-bot'))
    const old = cache.find('a-bot')
    if (change === 'expire') cache.expire()
    else cache.forget('a-bot')
    bots.set('a-bot', { ...plainBot('a-bot'), enabled: false })
    await old
    t.equal((await cache.find('a-bot'))?.enabled, false, change)
    t.equal(asked.length, 2)
    await cache.find('a-bot')
    t.equal(asked.length, 2, 'the new one is kept')

    const under = cache.secretsOf('a-bot')
    if (change === 'expire') cache.expire()
    else cache.forget('a-bot')
    await under
    goAway()
    if (change === 'expire') t.equal((await cache.secretsOf('a-bot')).length, 1, 'and serves while nothing newer can be had')
    else await t.rejects(cache.secretsOf('a-bot'), Away, 'but not if it may be of before a change that was made here')
  }
})

await t.test('is bounded: who was asked for least recently goes', async t => {
  const { cache, asked } = cacheOver()
  for (let number = 0; number < 10_000; number++) await cache.find(`bot-${number}`)
  await cache.find('bot-0')
  await cache.find('one-more')
  t.equal(asked.length, 10_001)
  await cache.find('bot-0')
  t.equal(asked.length, 10_001, 'it was asked for again in the meantime')
  await cache.find('bot-1')
  t.equal(asked.length, 10_002)
})
