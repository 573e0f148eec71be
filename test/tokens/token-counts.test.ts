import t from 'tap'
import { createTokenCounts, type CountChanges } from '../../src/tokens/token-counts.ts'
import { movableClock } from '../fakes/clock.ts'
import { at, START } from '../fakes/memory-rings.ts'

const EXP = START.getTime() / 1000 + 3_600

await t.test('what is counted while the database is away is written when it is back, once', async t => {
  const { clock, advance } = movableClock(START)
  const written: CountChanges[] = []
  const database = { isAway: true }
  const counts = createTokenCounts({
    async add (changes) {
      if (database.isAway) throw new Error('away')
      written.push(changes)
    },
    read: async () => new Map(),
    readLegacy: async () => new Map()
  }, clock)

  counts.issued('k1', 'a-bot', EXP)
  counts.legacySeen('om', 'old-bot')
  await t.rejects(counts.flush(), { message: 'away' })
  advance(1)
  counts.issued('k1', 'a-bot', EXP)
  counts.issued('k1', 'b-bot', EXP)
  counts.legacySeen('om', 'old-bot')
  counts.verified('k2', clock())
  await t.rejects(counts.flush(), { message: 'away' })

  database.isAway = false
  await counts.flush()
  await counts.flush()
  const expMinute = Math.ceil(EXP / 60)
  t.strictSame(written, [{
    issued: [{ kid: 'k1', bot: 'a-bot', expMinute, tokens: 2 }, { kid: 'k1', bot: 'b-bot', expMinute, tokens: 1 }],
    used: new Map([['k1', at(1)], ['k2', at(1)]]),
    legacySeen: [{ kid: 'om', bot: 'old-bot', tokens: 2, lastSeenAt: at(1) }]
  }])
})

await t.test('what is counted while a write is under way waits for the next one', async t => {
  const { clock } = movableClock(START)
  const written: CountChanges[] = []
  const slow = Promise.withResolvers<undefined>()
  const counts = createTokenCounts({ async add (changes) { written.push(changes); await slow.promise }, read: async () => new Map(), readLegacy: async () => new Map() }, clock)
  counts.issued('k1', 'a-bot', EXP)
  const first = counts.flush()
  counts.issued('k1', 'a-bot', EXP)
  slow.resolve(undefined)
  await first
  await counts.flush()
  t.same(written.map(({ issued }) => issued.map(({ tokens }) => tokens)), [[1], [1]])
})
