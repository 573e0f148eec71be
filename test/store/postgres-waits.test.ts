/** PostgreSQL behind our back: locked, hung, gone, there again. Every wait has an end. */
import { createServer, type AddressInfo, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { createCountStore } from '../../src/store/count-table.ts'
import { openDatabase, StoreUnavailable } from '../../src/store/database.ts'
import { createKeyStore } from '../../src/store/key-table.ts'
import { GIVEN, plainBot } from '../conformance/stores.ts'
import { botsIn, openAt } from '../fakes/databases.ts'
import { freshRing, START } from '../fakes/memory-rings.ts'
import { connectBeside, startPostgres } from '../fakes/postgres.ts'
import { layWire } from '../fakes/wire.ts'

t.setTimeout(300_000)

/** No promise, but the difference between slow, as a busy machine is, and never. */
const LIMIT_SECONDS = 30

const postgres = await startPostgres(t)

/** Asserts that it is refused as unavailable, and does not hang. How long it took, of the five seconds that are promised, is printed. */
async function isRefused (t: Test, what: string, attempt: () => Promise<unknown>): Promise<void> {
  const startedAt = performance.now()
  await t.rejects(attempt(), StoreUnavailable, what)
  const seconds = (performance.now() - startedAt) / 1000
  t.ok(seconds < LIMIT_SECONDS, `${what}: it does not hang`)
  t.comment(`${what}: refused after ${seconds.toFixed(2)} s`)
}

/** Tries until it succeeds. How long that took is printed. */
async function soon (t: Test, what: string, attempt: () => Promise<unknown>): Promise<void> {
  const startedAt = performance.now()
  const seconds = (): number => (performance.now() - startedAt) / 1000
  while (!await attempt().then(() => true, () => false)) {
    if (seconds() > LIMIT_SECONDS) throw new Error(`${what}: not within ${LIMIT_SECONDS} s`)
    await new Promise(resolve => { setTimeout(resolve, 50) })
  }
  t.comment(`${what}: after ${seconds().toFixed(2)} s`)
}

await t.test('a lock that another holds: writes are refused, reads and what need not wait go on', async t => {
  const url = await postgres.database()
  const database = await openAt(t, url)
  const bots = botsIn(database)
  await bots.create(plainBot('a-bot'), null, GIVEN)
  const holder = await connectBeside(t, url)
  await holder.query('begin; select * from changes for update')
  await Promise.all([
    isRefused(t, 'a write', async () => await bots.create(plainBot('b-bot'), null, GIVEN)),
    isRefused(t, 'another write', async () => await createKeyStore(database).update(() => freshRing())),
    ...Array.from({ length: 12 }, async (_, number) => { await isRefused(t, `write ${number} of many`, async () => await bots.create(plainBot(`bot-${number}`), null, GIVEN)) }),
    (async () => {
      t.equal((await bots.find('a-bot'))?.name, 'a-bot')
      await database.look(() => new Date())
      await createCountStore(database).add({ issued: [], used: new Map([['k1', START]]), legacySeen: [] }, START)
    })()
  ])
  await holder.query('rollback')
  t.equal(await bots.create(plainBot('c-bot'), null, GIVEN), 'created', 'and the next one succeeds')
  t.same((await bots.list({ limit: 9 })).map(bot => bot.name), ['a-bot', 'c-bot'], 'what was refused changed nothing')
})

await t.test('connections that the server ends: it heals by itself, and hears again', async t => {
  const url = await postgres.database()
  const database = await openAt(t, url)
  const bots = botsIn(database)
  let heard = 0
  const stop = database.listen(() => { heard++ })
  t.teardown(stop)
  await soon(t, 'it listens', async () => { if (heard === 0) throw new Error('not yet') })
  await Promise.all([1, 2, 3].map(async () => await bots.list({ limit: 1 })))

  const other = await connectBeside(t, url)
  const { rowCount } = await other.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name = 'mintmark'")
  t.ok((rowCount ?? 0) >= 2, `${rowCount} connections ended`)
  await soon(t, 'it writes', async () => await bots.create(plainBot('a-bot'), null, GIVEN))
  const before = heard
  await soon(t, 'it listens again', async () => {
    await other.query("select pg_notify('mintmark_changes', '')")
    if (heard === before) throw new Error('not yet')
  })
})

await t.test('a connection that hangs is not used again', async t => {
  const { url, cut } = await layWire(t, await postgres.database())
  const database = await openAt(t, url)
  const bots = botsIn(database)
  await Promise.all([1, 2, 3, 4].map(async () => await bots.list({ limit: 1 }))) // more than will be found to hang
  await bots.create(plainBot('warm-up'), null, GIVEN)
  cut()
  await Promise.all([
    isRefused(t, 'a read', async () => await bots.list({ limit: 1 })),
    isRefused(t, 'a look', async () => await database.look(() => new Date())),
    isRefused(t, 'a write', async () => await bots.create(plainBot('a-bot'), null, GIVEN))
  ])
  const startedAt = performance.now()
  await database.look(() => new Date())
  t.equal(await bots.create(plainBot('b-bot'), null, GIVEN), 'created', 'over new connections')
  t.comment(`made after ${((performance.now() - startedAt) / 1000).toFixed(2)} s`)
})

await t.test('a connection that hangs in the middle of a write: it is refused, and blocks the others for seconds only', async t => {
  const { url, cut } = await layWire(t, await postgres.database())
  const database = await openAt(t, url)
  await isRefused(t, 'it', async () => {
    await database.write(async transaction => {
      cut()
      await transaction.selectFrom('bots').selectAll().execute()
    })
  })
  await soon(t, 'the server has let go of its lock', async () => await botsIn(database).create(plainBot('a-bot'), null, GIVEN))
})

await t.test('nobody listens at the address, or whoever does says nothing', async t => {
  const sockets: Socket[] = []
  const mute = createServer(socket => { sockets.push(socket) })
  await new Promise<void>(resolve => { mute.listen(0, '127.0.0.1', resolve) })
  const { port } = mute.address() as AddressInfo
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    mute.close()
  })
  await isRefused(t, 'nobody', async () => await openDatabase('postgres://postgres@127.0.0.1:9/none'))
  await isRefused(t, 'mute', async () => await openDatabase(`postgres://postgres@127.0.0.1:${port}/none`))
  await isRefused(t, 'unknown', async () => await openDatabase('postgres://postgres@no-such-host.invalid/none'))
})
