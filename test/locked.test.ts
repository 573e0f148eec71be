/** A held write lock, a full disk: writes are refused clearly, everything else goes on, and it heals by itself. */
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t, { type Test } from 'tap'
import { askAs } from './fakes/asking.ts'
import { startService, temporaryFolder } from './fakes/service.ts'

t.setTimeout(60_000)

await t.test('while another process holds the write lock', async t => {
  const service = await startService(t)
  const { app } = service
  const client = await service.bot('ingestion-bot')
  const token = await service.token(client)
  const admin = askAs(app, await service.adminToken())
  const holder = new DatabaseSync(service.parts.config.databaseUrl.replace('sqlite:', ''))
  t.teardown(() => { holder.close() })

  await t.test('/auth and minting go on, and the write is done when the lock is free', async t => {
    holder.exec('begin immediate')
    let answered = 0
    const writing = { done: false }
    const write = admin('POST', '/admin/bots', { name: 'waited-for' }).finally(() => { writing.done = true })
    setTimeout(() => { holder.exec('rollback') }, 3_000)
    while (!writing.done) {
      const [auth, minted] = await Promise.all([
        app.inject({ url: '/auth', headers: { authorization: `Bearer ${token}` } }),
        service.token(client)
      ])
      if (auth.statusCode === 200 && minted !== '') answered++
    }
    t.equal((await write).statusCode, 201)
    t.ok(answered > 20, `${answered} requests were answered meanwhile`)
  })

  await t.test('a write is refused before five seconds are over, and nothing has changed', async t => {
    holder.exec('begin immediate')
    const startedAt = Date.now()
    const responses = await Promise.all([1, 2, 3].map(async number => await admin('POST', '/admin/bots', { name: `refused-${number}` })))
    t.comment(`refused after ${Date.now() - startedAt} ms, of the five seconds that are promised`)
    for (const response of responses) t.match({ status: response.statusCode, body: response.json<unknown>(), retry: response.headers['retry-after'] }, { status: 503, body: { code: 'unavailable' }, retry: String })
    holder.exec('rollback')
    t.equal(await service.parts.bots.find('refused-1'), null)
    t.equal((await admin('POST', '/admin/bots', { name: 'refused-1' })).statusCode, 201, 'and it heals by itself')
  })
})

await t.test('on a disk of its own', { skip: mountable() ? false : 'no file system can be mounted here' }, async t => {
  const folder = temporaryFolder(t)
  mount('-t', 'tmpfs', '-o', 'size=1500k', 'tmpfs', folder)
  t.teardown(() => { spawnSync('umount', ['-l', folder]) })
  const service = await startService(t, { MINTMARK_DATABASE_URL: `sqlite:${folder}/mintmark.db` })
  const client = await service.bot('ingestion-bot')
  const token = await service.token(client)
  const admin = askAs(service.app, await service.adminToken())
  const create = async (name: string): Promise<number> => (await admin('POST', '/admin/bots', { name })).statusCode
  const refused = async (name: string, t: Test): Promise<void> => {
    const response = await admin('POST', '/admin/bots', { name })
    t.match({ status: response.statusCode, body: response.json<unknown>() }, { status: 503, body: { code: 'unavailable', detail: /full or read-only/ } })
    t.equal((await askAs(service.app, token)('POST', '/verify')).statusCode, 200, 'verification goes on')
    t.ok(await service.token(client), 'so does minting')
    t.equal(await service.parts.bots.find(name), null, 'no half-made bot')
  }

  await t.test('full: writes are refused, and it heals without a restart', async t => {
    const filler = join(folder, 'filler')
    writeUntilFull(filler)
    while (await create(`small-${randomUUID()}`) === 201) { /* until the last page is taken */ }
    await refused('no-room', t)
    rmSync(filler)
    t.equal(await create('no-room'), 201)
  })

  await t.test('and the file is whole', async t => {
    const database = new DatabaseSync(join(folder, 'mintmark.db'))
    t.same({ ...database.prepare('pragma integrity_check').get() }, { integrity_check: 'ok' })
    database.close()
  })
})

function mount (...words: string[]): void {
  const { status, stderr } = spawnSync('mount', words)
  if (status !== 0) throw new Error(stderr.toString())
}

/** Root may, in most places. */
function mountable (): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'mintmark-mount-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', folder])
  if (status === 0) spawnSync('umount', [folder])
  rmSync(folder, { recursive: true })
  return status === 0
}

function writeUntilFull (file: string): void {
  const descriptor = openSync(file, 'w')
  try {
    for (;;) writeSync(descriptor, Buffer.alloc(4_096))
  } catch { /* now it is full */ }
  closeSync(descriptor)
}
