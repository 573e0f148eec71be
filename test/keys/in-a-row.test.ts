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

await t.test('some wait for each other, in the order in which they came, and no longer than there is somebody to wait for', async t => {
  const { row, gone, end } = start(['a', 'b', 'c', 'd', 'e'])
  end('a')
  end('b')
  t.strictSame(gone, [])
  end('c')
  t.strictSame(gone, ['a', 'b', 'c'])
  end('d')
  t.equal(gone.length, 3)
  row.begin()
  end('e')
  t.equal(gone.length, 3, 'another one has begun')
  end('f')
  t.strictSame(gone, ['a', 'b', 'c', 'd', 'e', 'f'])
})

await t.test('whoever goes on may begin anew', async t => {
  const { row, gone, end } = start(['a', 'b'])
  row.end(() => {
    gone.push('a')
    row.begin()
  })
  end('b')
  t.strictSame(gone, ['a', 'b'])
  end('c')
  t.strictSame(gone, ['a', 'b', 'c'])
})
