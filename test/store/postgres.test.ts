import { Migrator, sql } from 'kysely'
import t, { type Test } from 'tap'
import { createAssertionStore } from '../../src/store/assertion-table.ts'
import { createCountStore } from '../../src/store/count-table.ts'
import { openDatabase, type Database } from '../../src/store/database.ts'
import { createKeyStore } from '../../src/store/key-table.ts'
import * as firstMigration from '../../src/store/migrations/0001-keys-and-bots.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { assertionStoreConformance } from '../conformance/assertion-store.ts'
import { auditTrailConformance } from '../conformance/audit-trail.ts'
import { botRegistryConformance } from '../conformance/bot-registry.ts'
import { botStepsConformance } from '../conformance/bot-steps.ts'
import { keyStoreConformance } from '../conformance/key-store.ts'
import { secretRegistryConformance } from '../conformance/secret-registry.ts'
import { GIVEN, plainBot, type MakeStores } from '../conformance/stores.ts'
import { tokenRegistryConformance } from '../conformance/token-registry.ts'
import { botsIn, keysAt, openAt, storesAt } from '../fakes/databases.ts'
import { at, freshRing, keyIn, START } from '../fakes/memory-rings.ts'
import { connectBeside, startPostgres } from '../fakes/postgres.ts'
import { temporaryFolder } from '../fakes/service.ts'

t.setTimeout(180_000)
const postgres = await startPostgres(t)

const openStores: MakeStores = async t => await storesAt(t, await postgres.database())

await t.test('keys in PostgreSQL', async t => { await keyStoreConformance(t, async t => await keysAt(t, await postgres.database())) })
await t.test('bots in PostgreSQL', async t => { await botRegistryConformance(t, openStores) })
await t.test('steps of all bots in PostgreSQL', async t => { await botStepsConformance(t, openStores) })
await t.test('secrets in PostgreSQL', async t => { await secretRegistryConformance(t, openStores) })
await t.test('tokens in PostgreSQL', async t => { await tokenRegistryConformance(t, openStores) })
await t.test('the audit trail in PostgreSQL', async t => { await auditTrailConformance(t, openStores) })
await t.test('used assertions in PostgreSQL', async t => {
  await assertionStoreConformance(t, async t => {
    const url = await postgres.database()
    return [createAssertionStore(await openAt(t, url)), createAssertionStore(await openAt(t, url))]
  })
})

await t.test('whoever may not come, or asks for what is not there, hears why', async t => {
  const url = await postgres.database()
  const isAway = async (address: string, why: RegExp): Promise<void> => { await t.rejects(openDatabase(address), { name: 'StoreUnavailable', message: why }) }
  await isAway(url.replace('postgres:postgres@', 'postgres:wrong@'), /^the database is unavailable: password authentication failed for user "postgres"$/)
  await isAway(`${url}x`, /database "\w+x" does not exist/)
  await isAway(`${url}?sslmode=verify-full`, /does not support SSL/)
})

await t.test('several replicas that start at once bring the schema up to date once', async t => {
  const url = await postgres.database()
  const databases = await Promise.all([1, 2, 3, 4].map(async () => await openAt(t, url)))
  t.same(await Promise.all(databases.map(async database => (await database.look(() => new Date())).version)), [0, 0, 0, 0])
})

await t.test('old and new versions side by side', async t => {
  /** The schema of a version that knows the first migration only, and connections of that version. */
  async function openOld (t: Test, url: string): Promise<Pick<Database, 'read' | 'write'>> {
    const { db } = openPostgres(url)
    t.teardown(async () => { await db.destroy() })
    const { error } = await new Migrator({ db, provider: { getMigrations: async () => ({ '0001-keys-and-bots': firstMigration }) } }).migrateToLatest()
    t.equal(error, undefined)
    return { read: async query => await query(db), write: async change => await db.transaction().execute(async transaction => await change(transaction, new Date())) }
  }

  await t.test('an older schema is brought up to date while the old version reads and writes', async t => {
    const url = await postgres.database()
    const old = await openOld(t, url) as Database // what keys and bots are kept by uses no more of it
    const oldKeys = createKeyStore(old)
    const oldBots = botsIn(old)
    await oldKeys.update(() => freshRing())
    await oldBots.create(plainBot('from-before'), null, GIVEN)

    const until = { over: false }
    let rounds = 0
    const work = async (): Promise<void> => {
      while (!until.over) {
        await oldBots.update('from-before', bot => ({ ...bot, roles: [`round-${++rounds}`] }), GIVEN)
        await oldKeys.update(ring => ring.map(key => ({ ...key, revokedReason: `round-${rounds}` })))
        await oldKeys.read()
      }
    }
    const working = work()
    await t.rejects((old.read(async db => await sql`select 1 from legacy_keys`.execute(db))), /does not exist/, 'the schema is the older one')
    const fresh = await openAt(t, url)
    t.same((await fresh.read(async db => await sql`select name from kysely_migration order by name`.execute(db))).rows.slice(0, 2), [{ name: '0001-keys-and-bots' }, { name: '0002-legacy-keys-and-counts' }])
    until.over = true
    await working
    t.ok(rounds > 0, `the old version was not stopped for ${rounds} rounds`)

    const newBots = botsIn(fresh)
    t.match(await newBots.find('from-before'), { roles: [`round-${rounds}`] }, 'the new version reads what the old one wrote')
    await newBots.update('from-before', bot => ({ ...bot, enabled: false }), GIVEN)
    await createKeyStore(fresh).update(ring => [...ring, { ...keyIn(freshRing(), 'k1'), kid: 'k3', publishedAt: at(1) }])
    t.match(await oldBots.find('from-before'), { enabled: false }, 'and the old one what the new one wrote')
    t.same((await oldKeys.read()).map(key => key.kid), ['k1', 'k2', 'k3'])

    const { version } = await fresh.look(() => new Date())
    await oldBots.create(plainBot('from-now'), null, GIVEN)
    t.equal((await fresh.look(() => new Date())).version, version + 1, 'the new one hears of what the old one changes')
  })

  await t.test('a newer schema is opened, and left as it is', async t => {
    const url = await postgres.database()
    const first = await openAt(t, url)
    await botsIn(first).create(plainBot('a-bot'), null, GIVEN)
    const newer = await connectBeside(t, url)
    await newer.query('alter table bots add column colour text; alter table changes add column note text; create table later (id integer)')
    await newer.query("insert into kysely_migration (name, timestamp) values ('9999-from-a-later-version', now()::text)")
    const migrations = async (): Promise<unknown> => (await newer.query('select name from kysely_migration order by name')).rows
    const before = await migrations()

    for (const database of [first, await openAt(t, url)]) {
      const bots = botsIn(database)
      t.match(await bots.update('a-bot', bot => ({ ...bot, roles: ['seen'] }), GIVEN), { done: { name: 'a-bot', roles: ['seen'] } }, 'it is read and written')
      await createKeyStore(database).update(() => freshRing())
      t.same(await createKeyStore(database).read(), freshRing())
    }
    t.same(await migrations(), before)
    t.equal((await newer.query('select count(*)::int as n from later')).rowCount, 1, 'what is newer is still there')
  })

  await t.test('a database of another application is left alone', async t => {
    for (const url of [await postgres.database(), `sqlite:${temporaryFolder(t)}/other.db`]) {
      const { db, writer } = url.startsWith('sqlite') ? { db: null, writer: openSqlite(url.slice(7)).write } : openPostgres(url)
      await sql`create table kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null)`.execute(writer)
      await sql`insert into kysely_migration values ('2024_01_users', 'then')`.execute(writer)
      await t.rejects(openDatabase(url), { name: 'StoreUnavailable', message: /another application, whose migrations are 2024_01_users: give mintmark a database of its own/ })
      t.same((await writer.introspection.getTables()).map(({ name }) => name).filter(name => !name.startsWith('kysely')), [], 'nothing was made in it')
      await Promise.all([db?.destroy(), writer.destroy()])
    }
  })

  await t.test('a migration that takes its time is not cut off, and whoever starts meanwhile waits for it', async t => {
    const url = await postgres.database()
    const old = await openOld(t, url)
    await old.read(async db => { await sql`select * from bots`.execute(db) })
    const slow = await connectBeside(t, url)
    await slow.query('begin; lock table kysely_migration_lock in access exclusive mode')
    const timer = setTimeout(() => { slow.query('commit').catch(() => { /* then it is over already */ }) }, 4_000)
    t.teardown(() => { clearTimeout(timer) })
    const opened = await Promise.allSettled([openAt(t, url), openAt(t, url)])
    t.match(opened, [{ status: 'fulfilled' }, { status: 'fulfilled' }])
  })
})

await t.test('numbers come back as numbers, also those beyond 32 bits', async t => {
  const database = await openAt(t, await postgres.database())
  const sums = async (): Promise<unknown> => (await database.read(async db => await sql`select count(*) as many, sum(2147483648::bigint) as sum, 1795000000000::bigint as at, max(7) as small, null::bigint as none from changes`.execute(db))).rows[0]
  t.strictSame(await sums(), { many: 1, sum: 2_147_483_648, at: 1_795_000_000_000, small: 7, none: null })
  const look = await database.look(() => new Date())
  t.same([look.version, look.clockOffsetMs, look.uncertaintyMs].map(value => typeof value), ['number', 'number', 'number'])

  const counts = createCountStore(database)
  const issued = { kid: 'k1', bot: 'a-bot', expMinute: Math.ceil(at(3_600).getTime() / 60_000), tokens: 3_000_000_000 }
  for (const used of [at(1), at(2)]) await counts.add({ issued: [issued], used: new Map([['k1', used]]), legacySeen: [] }, START)
  t.strictSame((await counts.read(START)).get('k1'), { issued: 6_000_000_000, lastUsedAt: at(2), bots: ['a-bot'], liveTokens: 6_000_000_000, liveUntil: at(3_600) })
})

await t.test('counts that two replicas write at once, in whatever order, are all written', async t => {
  const url = await postgres.database()
  const replicas = (await Promise.all([openAt(t, url), openAt(t, url)])).map(createCountStore)
  const names = Array.from({ length: 20 }, (_, number) => `bot-${number}`)
  const rounds = 25
  const expMinute = Math.ceil(at(3_600).getTime() / 60_000)
  await Promise.all(replicas.map(async (counts, number) => {
    const inOrder = number === 0 ? names : names.toReversed()
    for (let round = 0; round < rounds; round++) {
      await counts.add({
        issued: inOrder.map(bot => ({ kid: 'k1', bot, expMinute, tokens: 1 })),
        used: new Map([['k1', at(round)]]),
        legacySeen: inOrder.map(bot => ({ kid: 'legacy', bot, tokens: 1, lastSeenAt: at(round) }))
      }, START)
    }
  }))
  const [first] = replicas
  t.match((await first?.read(START))?.get('k1'), { issued: 2 * rounds * names.length, liveTokens: 2 * rounds * names.length })
})

await t.test('names come in the order of SQLite, whatever the collation of the database', async t => {
  const names = ['a', 'b', 'b-2', 'b.1', 'b_3', 'b1', 'b-10', 'b10', 'bb', 'b-b', 'b.b', 'b_b', 'b2', 'c', '0-bot', '9']
  const listed = async (url: string): Promise<string[]> => {
    const bots = botsIn(await openAt(t, url))
    for (const name of names) await bots.create(plainBot(name), null, GIVEN)
    const all = (await bots.list({ limit: 50 })).map(bot => bot.name)
    const paged: string[] = []
    for (let page = [''] as string[]; page.length > 0; paged.push(...page)) page = (await bots.list({ limit: 3, after: paged.at(-1) })).map(bot => bot.name)
    t.same(paged, all, 'page by page as well')
    return all
  }
  const inSqlite = await listed(`sqlite:${temporaryFolder(t)}/mintmark.db`)
  t.same(await listed(await postgres.database()), inSqlite, 'C')
  t.same(await listed(await postgres.database("template template0 locale 'C' locale_provider icu icu_locale 'en-US'")), inSqlite, 'en-US')
})
