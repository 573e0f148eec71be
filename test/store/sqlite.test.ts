import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { draftBot } from '../../src/bots/bot-draft.ts'
import { newSecret } from '../../src/bots/secret.ts'
import { createAssertionStore } from '../../src/store/assertion-table.ts'
import { createAuditTrail } from '../../src/store/audit-table.ts'
import { createSecretRegistry } from '../../src/store/bot-table.ts'
import { watchChanges } from '../../src/store/change-watch.ts'
import { databaseExists, openDatabase, StoreUnavailable, type Database } from '../../src/store/database.ts'
import { createKeyStore } from '../../src/store/key-table.ts'
import { createTokenRegistry } from '../../src/store/revocation-table.ts'
import { assertionStoreConformance } from '../conformance/assertion-store.ts'
import { auditTrailConformance } from '../conformance/audit-trail.ts'
import { botRegistryConformance } from '../conformance/bot-registry.ts'
import { botStepsConformance } from '../conformance/bot-steps.ts'
import { keyStoreConformance } from '../conformance/key-store.ts'
import { secretRegistryConformance } from '../conformance/secret-registry.ts'
import { allow, type MakeStores } from '../conformance/stores.ts'
import { tokenRegistryConformance } from '../conformance/token-registry.ts'
import { botsIn, keysAt, openAt, storesAt } from '../fakes/databases.ts'
import { freshRing, START } from '../fakes/memory-rings.ts'
import { temporaryFolder, TEST_EVENT } from '../fakes/service.ts'

const newBot = (name: string): ReturnType<typeof draftBot> => draftBot(name, {}, [], START)

const openStores: MakeStores = async t => await storesAt(t, `sqlite:${temporaryFolder(t)}/mintmark.db`)

await t.test('keys in SQLite', async t => { await keyStoreConformance(t, async t => await keysAt(t, `sqlite:${temporaryFolder(t)}/mintmark.db`)) })

await t.test('bots in SQLite', async t => { await botRegistryConformance(t, openStores) })
await t.test('steps of all bots in SQLite', async t => { await botStepsConformance(t, openStores) })
await t.test('secrets in SQLite', async t => { await secretRegistryConformance(t, openStores) })
await t.test('revocations in SQLite', async t => { await tokenRegistryConformance(t, openStores) })
await t.test('the audit trail in SQLite', async t => { await auditTrailConformance(t, openStores) })
await t.test('used assertions in SQLite', async t => {
  await assertionStoreConformance(t, async t => {
    const url = `sqlite:${temporaryFolder(t)}/mintmark.db`
    return [createAssertionStore(await openAt(t, url)), createAssertionStore(await openAt(t, url))]
  })
})

await t.test('a commit is flushed: WAL, and synchronous = FULL on both connections', async t => {
  const database = await openAt(t, `sqlite:${temporaryFolder(t)}/mintmark.db`)
  for (const connection of [database.read, database.write]) {
    t.same((await connection(async db => await sql`pragma journal_mode`.execute(db))).rows, [{ journal_mode: 'wal' }])
    t.same((await connection(async db => await sql`pragma synchronous`.execute(db))).rows, [{ synchronous: 2 }])
    t.same((await connection(async db => await sql`pragma foreign_keys`.execute(db))).rows, [{ foreign_keys: 1 }])
  }
})

await t.test('a database is made with its folders, and found again', async t => {
  const url = `sqlite:${temporaryFolder(t)}/deep/down/mintmark.db`
  t.notOk(databaseExists(url))
  const first = await openDatabase(url)
  await createKeyStore(first).update(() => freshRing())
  await first.close()
  t.ok(databaseExists(url))
  t.same(await createKeyStore(await openAt(t, url)).read(), freshRing())
})

await t.test('what cannot be opened or is no database is unavailable, and says why', async t => {
  const folder = temporaryFolder(t)
  await t.rejects(openDatabase(`sqlite:${folder}`), StoreUnavailable)
  writeFileSync(`${folder}/notes.txt`, 'this is not a database, though it is long enough to be taken for one '.repeat(20))
  await t.rejects(openDatabase(`sqlite:${folder}/notes.txt`), { name: 'StoreUnavailable', message: /file is not a database/ })
})

await t.test('other processes see that something has changed', async t => {
  const url = `sqlite:${temporaryFolder(t)}/mintmark.db`
  const here = await openAt(t, url)
  const there = await openAt(t, url)

  await t.test('with every change, and with no look', async t => {
    let known = (await there.look(() => new Date())).version
    const goesUp = async (what: string, change: () => Promise<unknown>): Promise<void> => {
      await change()
      const version = (await there.look(() => new Date())).version
      t.ok(version > known, what)
      known = version
    }
    const stays = async (what: string, change: () => Promise<unknown>): Promise<void> => {
      await change()
      t.equal((await there.look(() => new Date())).version, known, what)
    }
    const keys = createKeyStore(here)
    const bots = botsIn(here)
    await goesUp('a key is made', async () => await keys.update(() => freshRing()))
    await goesUp('a key is changed', async () => await keys.update(ring => ring.map(key => ({ ...key, revokedReason: 'drill' }))))
    await stays('the ring is returned as it came', async () => await keys.update(ring => ring))
    await goesUp('a bot is made', async () => await bots.create(newBot('a-bot'), null, TEST_EVENT))
    await goesUp('a bot is changed', async () => await bots.update('a-bot', bot => ({ ...bot, enabled: false }), TEST_EVENT))
    const secrets = createSecretRegistry(here)
    const tokens = createTokenRegistry(here, () => START)
    const { stored } = newSecret('a-bot', { now: START })
    const cutoff = { notBefore: 1_795_000_000, until: 1_795_090_000 }
    await goesUp('a secret is added', async () => await secrets.add(stored, allow, TEST_EVENT))
    await goesUp('a secret is changed', async () => await secrets.update('a-bot', stored.id, secret => ({ ...secret, expiresAt: START }), allow, TEST_EVENT))
    await stays('a secret is used', async () => { await secrets.record(new Map([[stored.id, START]])) })
    await goesUp('a secret is removed', async () => await secrets.remove('a-bot', stored.id, allow, TEST_EVENT))
    await goesUp('a token is taken back', async () => { await tokens.revokeToken('jti', cutoff.until, TEST_EVENT) })
    await goesUp('all tokens of a bot are taken back', async () => await tokens.revokeTokensOf('a-bot', allow, cutoff, TEST_EVENT))
    await stays('a refused call is written down', async () => { await createAuditTrail(here).append([TEST_EVENT]) })
    await stays('a name is taken', async () => await bots.create(newBot('a-bot'), null, TEST_EVENT))
    await goesUp('a bot is removed', async () => await bots.remove('a-bot', allow, cutoff, TEST_EVENT))
    await stays('the ring and the bots are read', async () => [await keys.read(), await bots.list({ limit: 1 })])
  })

  await t.test('and read anew what has changed, and only then', async t => {
    let reads = 0
    let now = START
    const changes = watchChanges({ ...there, refresh: [async () => { reads++ }], clock: () => now })
    await changes.catchUp()
    await changes.catchUp()
    t.equal(reads, 1)
    await botsIn(here).create(newBot('another-bot'), null, TEST_EVENT)
    now = new Date(START.getTime() + 1000)
    await changes.catchUp()
    t.equal(reads, 2)
    now = new Date(START.getTime() + 3000)
    t.equal(changes.secondsSinceSeen(), 2)
  })

  await t.test('and try again what could not be read', async t => {
    let attempts = 0
    const changes = watchChanges({ look: async () => ({ version: 7, clockOffsetMs: 0, uncertaintyMs: 0 }), listen: there.listen, refresh: [async () => { if (++attempts === 1) throw new Error('away') }], clock: () => START })
    await t.rejects(changes.catchUp(), { message: 'away' })
    await changes.catchUp()
    t.equal(attempts, 2)
  })
})

await t.test('while another process holds the write lock', async t => {
  async function locked (t: Test): Promise<{ database: Database, unlock: () => void }> {
    const file = `${temporaryFolder(t)}/mintmark.db`
    const database = await openAt(t, `sqlite:${file}`)
    await botsIn(database).create(newBot('a-bot'), null, TEST_EVENT)
    const holder = new DatabaseSync(file)
    holder.exec('begin immediate')
    t.teardown(() => { holder.close() })
    return { database, unlock: () => { holder.exec('rollback') } }
  }

  await t.test('a write waits, the event loop does not, and reads go on', async t => {
    const { database, unlock } = await locked(t)
    let settled = false
    const write = botsIn(database).create(newBot('b-bot'), null, TEST_EVENT).finally(() => { settled = true })
    for (let ticks = 0; ticks < 20; ticks++) await sleep(5)
    t.notOk(settled, 'it waits, through twenty ticks of a timer')
    t.equal((await botsIn(database).find('a-bot'))?.name, 'a-bot', 'a read does not')
    t.equal(await botsIn(database).find('b-bot'), null)
    unlock()
    t.equal(await write, 'created')
    t.equal((await botsIn(database).find('b-bot'))?.name, 'b-bot')
  })

  await t.test('and keeps it: every write that waits is refused within five seconds, and nothing is changed', async t => {
    const { database, unlock } = await locked(t)
    const bots = botsIn(database)
    const startedAt = performance.now()
    const results = await Promise.allSettled(['b-bot', 'c-bot'].map(async name => await bots.create(newBot(name), null, TEST_EVENT)))
    const seconds = (performance.now() - startedAt) / 1000
    for (const result of results) t.match(result, { status: 'rejected', reason: { name: 'StoreUnavailable', message: /locked/ } })
    t.comment(`all are refused after ${seconds.toFixed(2)} s, of the five that are promised`)
    unlock()
    t.equal(await bots.create(newBot('d-bot'), null, TEST_EVENT), 'created', 'and the next one succeeds')
    t.same((await bots.list({ limit: 9 })).map(bot => bot.name), ['a-bot', 'd-bot'])
  })
})

await t.test('processes that open a fresh database at the same time all succeed', async t => {
  const opener = new URL('./opener.ts', import.meta.url)
  const children: ChildProcess[] = Array.from({ length: 4 }, () => fork(opener, { execArgv: [] }))
  t.teardown(() => { for (const child of children) child.kill() })
  await Promise.all(children.map(async child => { await once(child, 'message') }))
  for (let round = 0; round < 5; round++) {
    const url = `sqlite:${temporaryFolder(t)}/mintmark.db`
    const answers = await Promise.all(children.map(async child => {
      child.send(url)
      const [answer] = await once(child, 'message') as [unknown]
      return answer
    }))
    t.same(answers, children.map(() => 'opened'))
    t.same(await createKeyStore(await openAt(t, url)).read(), [])
  }
  for (const child of children) child.disconnect()
})
