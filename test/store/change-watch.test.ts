import t from 'tap'
import { watchChanges, type ChangeWatch } from '../../src/store/change-watch.ts'
import type { Look } from '../../src/store/database.ts'
import { movableClock, type MovableClock } from '../fakes/clock.ts'

interface Watched extends MovableClock {
  changes: ChangeWatch
  /** What the next look answers; a look without one fails. */
  answers: Array<Look | (() => Promise<Look>)>
  /** The versions since which something was read. */
  readsSince: number[]
  /** As the database does when another process has changed something. */
  notify: () => void
}

function watch (): Watched {
  const time = movableClock()
  const answers: Watched['answers'] = []
  const readsSince: number[] = []
  let onChange = (): void => {}
  const changes = watchChanges({
    async look () {
      const answer = answers.shift()
      if (!answer) throw new Error('away')
      return typeof answer === 'function' ? await answer() : answer
    },
    listen (listener) {
      onChange = listener
      return () => { onChange = () => {} }
    },
    refresh: [async version => { readsSince.push(version) }],
    clock: time.clock
  })
  return { ...time, changes, answers, readsSince, notify: () => { onChange() } }
}

const lookAt = (version: number): Look => ({ version, clockOffsetMs: 0, uncertaintyMs: 0 })
const measured = (clockOffsetMs: number, uncertaintyMs: number): Look => ({ version: 0, clockOffsetMs, uncertaintyMs })

await t.test('the clock of the database', async t => {
  /** @returns the offset after each of the looks */
  async function offsetsAfter (...looks: Look[]): Promise<number[]> {
    const { changes, answers } = watch()
    const offsets: number[] = []
    for (const look of looks) {
      answers.push(look)
      await changes.catchUp()
      offsets.push(changes.clockOffsetMs())
    }
    return offsets
  }

  await t.test('is taken for ours until it is known', async t => {
    t.equal(watch().changes.clockOffsetMs(), 0)
  })

  await t.test('is known best by the look with the quickest answer', async t => {
    t.same(await offsetsAfter(measured(3_040, 50), measured(3_002, 3), measured(2_950, 80), measured(3_001, 2)), [3_040, 3_002, 3_002, 3_001])
  })

  await t.test('drifts, so that old looks count for nothing', async t => {
    const offsets = await offsetsAfter(measured(3_000, 1), ...Array.from({ length: 20 }, (_, number) => measured(3_004, 5 + number)))
    t.equal(offsets.at(-2), 3_000)
    t.equal(offsets.at(-1), 3_004)
  })

  await t.test('is another one from ours as soon as ours was set: a look that contradicts the earlier ones ends them', async t => {
    t.same(await offsetsAfter(measured(0, 1), measured(1, 2), measured(-3_600_000, 40), measured(-3_600_020, 30)), [0, 0, -3_600_000, -3_600_020])
  })
})

await t.test('how long ago the database was seen', async t => {
  const { changes, answers, advance } = watch()
  answers.push(async () => {
    advance(3)
    return lookAt(1)
  })
  await changes.catchUp()
  t.equal(changes.secondsSinceSeen(), 3, 'since it was asked: what has changed while it was slow to answer may be missing')
  await t.rejects(changes.catchUp(), { message: 'away' })
  advance(1)
  t.equal(changes.secondsSinceSeen(), 4, 'a look that fails is none')
})

await t.test('looks queue, so that an older one never overtakes a newer one', async t => {
  const { changes, answers, readsSince } = watch()
  const slow = Promise.withResolvers<Look>()
  answers.push(async () => await slow.promise, lookAt(2))
  const first = changes.catchUp()
  while (answers.length > 1) await Promise.resolve() // until it has begun
  const second = changes.catchUp()
  slow.resolve(lookAt(1))
  await Promise.all([first, second])
  t.same(readsSince, [-1, 1])
})

await t.test('many that ask while a look is under way share the next one', async t => {
  const { changes, answers, readsSince } = watch()
  const slow = Promise.withResolvers<Look>()
  answers.push(async () => await slow.promise, lookAt(2))
  const first = changes.catchUp()
  while (answers.length > 1) await Promise.resolve() // until it has begun
  const others = Array.from({ length: 50 }, async () => { await changes.catchUp() })
  slow.resolve(lookAt(1))
  await Promise.all([first, ...others])
  t.same(readsSince, [-1, 1], 'one look more, for all of them')
  answers.push(lookAt(3))
  await changes.catchUp()
  t.same(readsSince, [-1, 1, 2])
  t.match(await Promise.allSettled([changes.catchUp(), changes.catchUp()]), [{ reason: { message: 'away' } }, { reason: { message: 'away' } }], 'and all hear of a failure')
})

await t.test('a change is heard of at once, and a lost notification healed by the regular look', async t => {
  const { changes, answers, readsSince, notify } = watch()
  answers.push(lookAt(1), lookAt(2), lookAt(3))
  const failures: unknown[] = []
  const isRead = async (times: number): Promise<void> => { while (readsSince.length < times) await new Promise(resolve => { setTimeout(resolve, 5) }) }
  const stop = changes.start(error => { failures.push(error) })
  await isRead(1)

  notify()
  await isRead(2)
  await isRead(3) // nobody said that there is a third
  t.same(readsSince, [-1, 1, 2])

  notify()
  await changes.catchUp().catch(() => {})
  t.match(failures, [{ message: 'away' }], 'a look that fails is told of, and ends nothing')
  answers.push(lookAt(4))
  await isRead(4)
  stop()
})
