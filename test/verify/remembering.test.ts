import t from 'tap'
import { remembering } from '../../src/verify/remembering.ts'

await t.test('each value is made once, until there are too many', async t => {
  const made: number[] = []
  const lengthOf = remembering(2, (text: string) => { made.push(text.length); return text.length })
  t.same(['a', 'bb', 'a', 'bb'].map(lengthOf), [1, 2, 1, 2])
  t.same(made, [1, 2], 'what is there forgets nothing, however many there are')
  t.same(['ccc', 'ccc', 'a'].map(lengthOf), [3, 3, 1])
  t.same(made, [1, 2, 3, 1], 'one more begins anew')
})

await t.test('what could not be made is tried again', async t => {
  let tries = 0
  const none = remembering(2, () => { tries++ })
  none('a')
  none('a')
  t.equal(tries, 2)
})
