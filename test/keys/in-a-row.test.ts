import t from 'tap'
import { createRow } from '../../src/keys/in-a-row.ts'

/** A row of three, and who has gone on. */
function start (names: readonly string[]) {
  const row = createRow(3)
  const gone: string[] = []
  for (let begun = 0; begun < names.length; begun++) row.begin()
  return { row, gone, end: (name: string): void => { row.end(() => { gone.push(name) }) } }
}

await t.test('one that is alone waits for nobody', async t => {
  const { gone, end } = start(['a'])
  end('a')
  t.strictSame(gone, ['a'])
})

await t.test('three wait for each other, and go on in the order in which they came', async t => {
  const { gone, end } = start(['a', 'b', 'c', 'd', 'e', 'f'])
  end('a')
  end('b')
  t.strictSame(gone, [])
  end('c')
  t.strictSame(gone, ['a', 'b', 'c'])
})

await t.test('nobody waits for fewer than those who wait', async t => {
  const { row, gone, end } = start(['a', 'b', 'c'])
  end('a')
  t.strictSame(gone, [], 'two are under way')
  end('b')
  t.strictSame(gone, ['a', 'b'], 'one is, and may take long')
  row.begin()
  row.begin()
  end('c')
  t.equal(gone.length, 2, 'others have begun')
  end('d')
  t.strictSame(gone, ['a', 'b', 'c', 'd'])
})

await t.test('whoever goes on may begin anew', async t => {
  const { row, gone, end } = start(['a'])
  row.end(() => {
    gone.push('a')
    row.begin()
  })
  end('b')
  t.strictSame(gone, ['a', 'b'])
})
