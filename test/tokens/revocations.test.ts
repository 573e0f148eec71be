import t from 'tap'
import { createRevocations, GRACE_SECONDS, type RevocationChanges, type Revocations } from '../../src/tokens/revocations.ts'
import { movableClock } from '../fakes/clock.ts'
import { START } from '../fakes/memory-rings.ts'

const NOW = START.getTime() / 1000
const FIRST_RUN = { bot: 'a-bot', run: 'first', until: NOW + 10 }
const SECOND_RUN = { bot: 'b-bot', run: 'second', until: NOW + 10 }

/** What this process knows, once it has heard of each of `news`. */
async function heardOf (...news: Array<Partial<RevocationChanges>>): Promise<{ revocations: Revocations, advance: (seconds: number) => void, asked: number[] }> {
  const { clock, advance } = movableClock(START)
  const asked: number[] = []
  const left = [...news]
  const changedSince = async (version: number): Promise<RevocationChanges> => {
    asked.push(version)
    return { disabled: new Set(), tokens: [], bots: [], runs: [], ...left.shift() }
  }
  const revocations = createRevocations({ changedSince }, clock, () => false)
  for (const version of news.keys()) await revocations.refresh(version)
  return { revocations, advance, asked }
}

await t.test('nothing is revoked of which nothing was heard', async t => {
  const { revocations } = await heardOf({})
  t.notOk(revocations.isTokenRevoked('jti'))
  t.notOk(revocations.isBotDisabled('a-bot'))
  t.equal(revocations.notBefore('a-bot'), 0)
  t.same(revocations.counts(), { tokens: 0, bots: 0, runs: 0, disabled: 0 })
})

await t.test('what was heard is kept beside what is new', async t => {
  const { revocations, asked } = await heardOf(
    { tokens: [{ jti: 'first', exp: NOW + 10 }], bots: [{ name: 'a-bot', notBefore: NOW, until: NOW + 10 }], runs: [FIRST_RUN] },
    { tokens: [{ jti: 'second', exp: NOW + 10 }], bots: [{ name: 'b-bot', notBefore: NOW + 1, until: NOW + 10 }] },
    { bots: [{ name: 'a-bot', notBefore: NOW + 2, until: NOW + 10 }], runs: [SECOND_RUN] }
  )
  t.same(['first', 'second', 'third'].map(revocations.isTokenRevoked), [true, true, false])
  t.same(['a-bot', 'b-bot', 'c-bot'].map(revocations.notBefore), [NOW + 2, NOW + 1, 0])
  t.same([['a-bot', 'first'], ['a-bot', 'second'], ['b-bot', 'second'], ['b-bot', 'first']].map(([bot = '', run = '']) => revocations.isRunRevoked(bot, run)), [true, false, true, false], 'a run is its bot\'s')
  t.same(revocations.held().runs, [FIRST_RUN, SECOND_RUN])
  t.same(revocations.counts(), { tokens: 2, bots: 2, runs: 2, disabled: 0 })
  t.same(asked, [0, 1, 2], 'only what is new is asked for')
})

await t.test('the bots that are switched off are those that were named last', async t => {
  const { revocations } = await heardOf({ disabled: new Set(['a-bot', 'b-bot']) }, { disabled: new Set(['b-bot', 'c-bot']) })
  t.same(['a-bot', 'b-bot', 'c-bot'].map(revocations.isBotDisabled), [false, true, true])
  t.equal(revocations.counts().disabled, 2)
})

await t.test('each time that something was heard makes another edition', async t => {
  const { revocations } = await heardOf({})
  const first = revocations.edition()
  revocations.held()
  t.equal(revocations.edition(), first)
  await revocations.refresh(1)
  t.not(revocations.edition(), first)
})

await t.test('what is over is forgotten after a grace, when next something is heard', async t => {
  const { revocations, advance } = await heardOf({ tokens: [{ jti: 'jti', exp: NOW + 10 }], bots: [{ name: 'a-bot', notBefore: NOW, until: NOW + 10 }], runs: [FIRST_RUN] })
  advance(10 + GRACE_SECONDS)
  await revocations.refresh(1)
  t.ok(revocations.isTokenRevoked('jti'), 'not a second before')
  t.equal(revocations.notBefore('a-bot'), NOW)
  t.ok(revocations.isRunRevoked('a-bot', 'first'))
  advance(1)
  await revocations.refresh(2)
  t.notOk(revocations.isTokenRevoked('jti'))
  t.equal(revocations.notBefore('a-bot'), 0)
  t.notOk(revocations.isRunRevoked('a-bot', 'first'))
  t.same(revocations.counts(), { tokens: 0, bots: 0, runs: 0, disabled: 0 })
})

await t.test('what could not be read changes nothing', async t => {
  let isAway = false
  const changedSince = async (): Promise<RevocationChanges> => {
    if (isAway) throw new Error('away')
    return { disabled: new Set(['a-bot']), tokens: [{ jti: 'jti', exp: NOW }], bots: [], runs: [] }
  }
  const revocations = createRevocations({ changedSince }, () => START, () => isAway)
  await revocations.refresh(0)
  t.notOk(revocations.isStale())
  isAway = true
  await t.rejects(revocations.refresh(1), { message: 'away' })
  t.ok(revocations.isTokenRevoked('jti') && revocations.isBotDisabled('a-bot'))
  t.ok(revocations.isStale())
})
