import t from 'tap'
import { keepFresh, pauseSeconds, type Pace } from '../../src/plugin/keep-fresh.ts'

const PACE: Pace = { everySeconds: () => 100, longestPauseSeconds: 10 }

await t.test('pauses: even while it works, doubled while it does not, up to the longest; never all at one time', async t => {
  t.equal(pauseSeconds(0, PACE, 0), 100)
  t.equal(pauseSeconds(0, PACE, 1), 80)
  t.strictSame([1, 2, 3, 4, 5, 50, 5_000].map(failures => pauseSeconds(failures, PACE, 0)), [1, 2, 4, 8, 10, 10, 10])
  t.strictSame([1, 4, 50].map(failures => pauseSeconds(failures, PACE, 1)), [0.5, 4, 5])
})

await t.test('at once, then again after each pause, one at a time, until it is ended', async t => {
  const timers: Array<{ run: () => void, milliseconds: number }> = []
  let cancelled = 0
  let outcome = Promise.withResolvers<boolean>()
  let fetches = 0
  const stop = keepFresh(async () => {
    fetches++
    return await outcome.promise
  }, PACE, (run, milliseconds) => {
    timers.push({ run, milliseconds })
    return () => { cancelled++ }
  }, () => 0)
  const settle = async (worked: boolean): Promise<void> => {
    const { resolve } = outcome
    outcome = Promise.withResolvers()
    resolve(worked)
    await new Promise(resolve => { setImmediate(resolve) })
  }

  t.equal(fetches, 1)
  t.equal(timers.length, 0, 'none runs while one is fetching')
  for (const [worked, milliseconds] of [[true, 100_000], [false, 1_000], [false, 2_000], [true, 100_000], [false, 1_000]] as const) {
    await settle(worked)
    const timer = timers.pop()
    t.equal(timer?.milliseconds, milliseconds)
    timer?.run()
  }
  t.equal(fetches, 6)
  stop()
  await settle(true)
  t.equal(timers.length, 0, 'what was under way starts nothing more')
  t.ok(cancelled > 0)
})
