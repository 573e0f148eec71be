import { mock } from 'node:test'
import t from 'tap'
import { createSpareKeys, watchProcess } from '../../src/keys/spare-keys.ts'
import { memoryKeyVault } from '../fakes/memory-key-vault.ts'

const kidsOf = (spares: ReturnType<typeof createSpareKeys>): string[] => spares.all().map(({ kid }) => kid)

await t.test('calls that overlap share what is made', async t => {
  const vault = memoryKeyVault()
  const spares = createSpareKeys(vault, () => false)
  await Promise.all([spares.makeOne(), spares.makeOne()])
  t.strictSame(kidsOf(spares), ['key-1'])
  await spares.makeOne()
  t.strictSame(kidsOf(spares), ['key-1', 'key-2'])
  spares.drop(new Set(['key-1', 'key-7']))
  t.strictSame(kidsOf(spares), ['key-2'])
})

await t.test('a vault that fails is asked again', async t => {
  const vault = memoryKeyVault()
  let isAway = true
  const spares = createSpareKeys({ generate: async () => { if (isAway) throw new Error('away'); return await vault.generate() } }, () => false)
  await t.rejects(Promise.all([spares.makeOne(), spares.makeOne()]), { message: 'away' })
  isAway = false
  await spares.makeOne()
  t.strictSame(kidsOf(spares), ['key-1'])
  const plain = createSpareKeys({ generate: () => { if (!isAway) { isAway = true; throw new Error('at once') } return vault.generate() } }, () => false)
  await t.rejects(plain.makeOne(), { message: 'at once' })
  await plain.makeOne()
  t.strictSame(kidsOf(plain), ['key-2'])
})

await t.test('one is kept ready', async t => {
  t.beforeEach(() => { mock.timers.enable({ apis: ['setTimeout'] }) })
  t.afterEach(() => { mock.timers.reset() })

  async function pass (seconds: number): Promise<void> {
    mock.timers.tick(seconds * 1000)
    await new Promise(resolve => { setImmediate(resolve) })
  }

  await t.test('made a moment after the start, and later when there is little else to do', async t => {
    const vault = memoryKeyVault()
    let isBusy = true
    const spares = createSpareKeys(vault, () => isBusy)
    t.teardown(spares.start(error => { t.fail(String(error)) }))
    await pass(0.9)
    t.strictSame(kidsOf(spares), [], 'not while it starts')
    await pass(0.1)
    t.strictSame(kidsOf(spares), ['key-1'])
    spares.drop(new Set(['key-1']))
    await pass(10)
    t.strictSame(kidsOf(spares), [], 'not while there is much to do')
    isBusy = false
    await pass(10)
    t.strictSame(kidsOf(spares), ['key-2'])
    for (let look = 0; look < 3; look++) await pass(10)
    t.equal(vault.made(), 2, 'one is enough')
  })

  await t.test('a failure is told, and tried again', async t => {
    const failures: unknown[] = []
    const spares = createSpareKeys({ generate: async () => { throw new Error(`away ${failures.length}`) } }, () => false)
    t.teardown(spares.start(error => { failures.push(error) }))
    await pass(1)
    await pass(10)
    t.match(failures, [{ message: 'away 0' }, { message: 'away 1' }])
  })

  await t.test('until it is told to end', async t => {
    const vault = memoryKeyVault()
    const spares = createSpareKeys(vault, () => false)
    spares.start(error => { t.fail(String(error)) })()
    await pass(20)
    t.equal(vault.made(), 0)

    const end = spares.start(error => { t.fail(String(error)) })
    mock.timers.tick(1_000)
    end()
    await pass(0) // what was being made is there
    spares.drop(new Set(kidsOf(spares)))
    await pass(20)
    t.equal(vault.made(), 1, 'also while one is being made')
  })
})

await t.test('a process is busy that takes more than half of a core, since it was last looked at', async t => {
  const readings = [{ cpu: 500, wall: 1_000 }, { cpu: 501, wall: 1_001 }, { cpu: 1_500, wall: 3_001 }, { cpu: 9_000, wall: 4_001 }]
  const isBusy = watchProcess(() => readings.shift() ?? { cpu: NaN, wall: NaN })
  t.strictSame([isBusy(), isBusy(), isBusy()], [true, false, true], 'whatever came before, and on however many cores')
})
