import t from 'tap'
import { createOffsetNotice, describeOffset } from '../../src/store/clock-offset.ts'

await t.test('a clock that is off is spoken of once, and once when it is right again', async t => {
  const lines: string[] = []
  const notice = createOffsetNotice({
    warn: (_: unknown, sentence: string) => { lines.push(sentence) },
    info: (sentence: string) => { lines.push(sentence) }
  } as unknown as Parameters<typeof createOffsetNotice>[0], 5)
  for (const offset of [0, 4_999, -5_000]) notice(offset)
  t.same(lines, [])
  for (const offset of [5_040, 6_000, -7_000]) notice(offset)
  t.same(lines, ['the clock of this machine differs from the database\'s by 5 s, more than MINTMARK_CLOCK_TOLERANCE: set it by NTP'])
  for (const offset of [100, 0]) notice(offset)
  t.same(lines.slice(1), ['the clock of this machine agrees with the database\'s again'])
  notice(-180_000)
  t.match(lines.slice(2), [/ by -180 s, /])
})

await t.test('with no tolerance at all, what nobody can notice is none', async t => {
  t.equal(describeOffset(-400, 0), null)
  t.match(describeOffset(600, 0), /by 0.6 s/)
})
