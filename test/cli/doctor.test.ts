/** `mintmark doctor`: what it says of an installation that is in order, and of each thing that is loose. */
import { chmodSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Finding } from '../../src/cli/finding.ts'
import { DEMO_MODULUS } from '../../src/keys/demo-key.ts'
import { openDatabase } from '../../src/store/database.ts'
import { createLegacyKeyStore } from '../../src/store/legacy-key-table.ts'
import { startPool } from '../fakes/pool.ts'
import { openShell, type Shell } from '../fakes/pool-processes.ts'
import { TEST_EVENT, temporaryFolder } from '../fakes/service.ts'

interface Diagnosis { code: number | null, healthy: boolean, findings: Finding[], about: (check: string) => Finding[] }

t.setTimeout(120_000)

const shell = openShell(t, temporaryFolder(t))
await shell.run('bot', 'create', 'admin-bot', '--admin')

async function diagnose (settings: Record<string, string> = {}, own: Shell = shell): Promise<Diagnosis> {
  const { code, stdout } = await own.runWith({ settings }, 'doctor', '--json')
  const { healthy, findings } = JSON.parse(stdout) as { healthy: boolean, findings: Finding[] }
  return { code, healthy, findings, about: check => findings.filter(finding => finding.check === check) }
}

function warns (t: Test, found: Finding[], sentence: RegExp, outcome: Finding['outcome'] = 'warning'): void {
  t.match(found.filter(finding => sentence.test(finding.found)), [{ outcome, advice: /\S/ }], `${outcome}: ${sentence.source}`)
}

await t.test('nothing is loose', async t => {
  const { code, healthy, findings, about } = await diagnose()
  t.match({ code, healthy }, { code: 0, healthy: true })
  t.strictSame(findings.filter(({ outcome }) => outcome !== 'ok'), [])
  t.match(about('default admin'), [{ found: /none to delete/ }], 'what OpenMetadata\'s guide asks for first')
  t.match(about('default keys'), [{ found: /none to replace/ }], 'and second')
})

await t.test('settings that are loose', async t => {
  const { code, about } = await diagnose({
    MINTMARK_HOST: '0.0.0.0',
    MINTMARK_MAX_TOKEN_TTL: '25h',
    MINTMARK_FAILED_LOGINS_PER_MINUTE: '0',
    MINTMARK_TRUST_PROXY: '0.0.0.0/0'
  })
  t.equal(code, 0, 'none of them is a failure')
  warns(t, about('transport'), /listens on 0\.0\.0\.0 in plain http/)
  warns(t, about('token life'), /tokens may live 25h/)
  warns(t, about('throttle'), /not held up/)
  warns(t, about('proxies'), /names every address/)

  const inside = await diagnose({ MINTMARK_PUBLIC_URL: 'http://mintmark:8590', MINTMARK_ALLOW_HTTP: 'true', MINTMARK_ALLOW_DEMO_KEYS: 'false' })
  warns(t, inside.about('transport'), /reach it by http:\/\/mintmark:8590/)
  warns(t, inside.about('settings'), /MINTMARK_ALLOW_HTTP is on/)
  const behindTls = await diagnose({ MINTMARK_HOST: '0.0.0.0', MINTMARK_PUBLIC_URL: 'https://tokens.example.com', MINTMARK_ISSUER: 'http://localhost:8590' })
  t.strictSame(behindTls.about('transport'), [], 'TLS ends in front')
  const demo = await diagnose({ MINTMARK_ALLOW_DEMO_KEYS: 'true' })
  warns(t, demo.about('settings'), /MINTMARK_ALLOW_DEMO_KEYS is on/)
})

await t.test('bots that are loose', async t => {
  const own = openShell(t, temporaryFolder(t), { MINTMARK_MAX_TOKEN_TTL: '7d' })
  await own.run('bot', 'create', 'weekly-bot', '--ttl', '7d')
  const { about } = await diagnose({}, own)
  warns(t, about('admins'), /nobody is admin/)
  warns(t, about('token life'), /weekly-bot \(7d\)/)
})

await t.test('who is admin', async t => {
  const own = openShell(t, temporaryFolder(t))
  await own.run('bot', 'create', 'zz-admin', '--admin')
  const database = await openDatabase(`sqlite:${own.folder}/data/mintmark.db`)
  await database.write(async transaction => {
    const bot = await transaction.selectFrom('bots').selectAll().executeTakeFirstOrThrow()
    await transaction.insertInto('bots').values(Array.from({ length: 200 }, (_, number) => ({ ...bot, name: `bot-${number}`, scopes: '[]' }))).execute()
  })
  await database.close()
  t.match((await diagnose({}, own)).about('admins'), [{ outcome: 'ok', found: 'bot zz-admin' }], 'also behind the first 200 bots')

  await own.run('bot', 'disable', 'zz-admin')
  warns(t, (await diagnose({}, own)).about('admins'), /nobody is admin/)
  const pool = await startPool(t)
  const guide = await diagnose({ ...pool.settings, AUTHORIZER_ADMIN_PRINCIPALS: '[admin]', MINTMARK_ADMIN_GROUPS: 'staff' }, own)
  t.match(guide.about('admins'), [{ outcome: 'ok', found: 'group staff; admin@open-metadata.org, or that sub' }], 'it says whom the names of a guide mean')
})

await t.test('it looks, and changes nothing', async t => {
  const own = openShell(t, temporaryFolder(t))
  await own.run('bot', 'create', 'admin-bot', '--admin')
  const keys = async (): Promise<unknown> => {
    const database = await openDatabase(`sqlite:${own.folder}/data/mintmark.db`)
    const rows = await database.read(async db => await db.selectFrom('signing_keys').selectAll().execute())
    await database.close()
    return rows
  }
  const before = await keys()
  await diagnose({ MINTMARK_MAX_TOKEN_TTL: '90d', MINTMARK_ROTATE_EVERY: '4s', MINTMARK_PUBLISH_AHEAD: '3s', MINTMARK_JWKS_MAX_AGE: '1s', MINTMARK_CLOCK_TOLERANCE: '0s' }, own)
  t.strictSame(await keys(), before, 'with other settings than the service has, too')
})

await t.test('the key pair that OpenMetadata ships', async t => {
  const own = openShell(t, temporaryFolder(t))
  await own.run('bot', 'create', 'admin-bot', '--admin')
  const database = await openDatabase(`sqlite:${own.folder}/data/mintmark.db`)
  const now = new Date()
  await createLegacyKeyStore(database).add({
    kid: 'shipped', size: 2048, publicKey: { n: DEMO_MODULUS, e: 'AQAB' }, issuer: 'open-metadata.org', importedAt: now, verifiesUntil: new Date(now.getTime() + 86_400_000), revokedAt: null, revokedReason: null
  }, TEST_EVENT)
  await database.close()

  const before = await diagnose({}, own)
  t.match(before, { code: 1, healthy: false })
  warns(t, before.about('default keys'), /everybody has its private half/, 'failed')
  t.match(await own.run('key', 'revoke', 'shipped', '--reason', 'shipped with OpenMetadata'), { code: 0 }, 'what it advises')
  t.match(await diagnose({}, own), { code: 0 }, 'mends it')
})

await t.test('a master key that is loose', async t => {
  const own = openShell(t, temporaryFolder(t))
  await own.run('bot', 'create', 'admin-bot', '--admin')
  const file = join(own.folder, 'keys/master.key')

  chmodSync(file, 0o604)
  const open = await diagnose({}, own)
  t.equal(open.code, 1)
  warns(t, open.about('master key'), /can be read by others/, 'failed')
  chmodSync(file, 0o640)
  const grouped = await diagnose({}, own)
  t.equal(grouped.code, 0)
  warns(t, grouped.about('master key'), /can be read by its group/)
  chmodSync(file, 0o600)

  renameSync(file, `${file}.away`)
  warns(t, (await diagnose({}, own)).about('master key'), /is not there, but a database is/, 'failed')
  renameSync(`${file}.away`, file)

  mkdirSync(join(own.folder, 'data/keys'))
  for (const place of ['data/master.key', 'data/keys/master.key', 'master.key']) {
    renameSync(file, join(own.folder, place))
    const together = await diagnose({ MINTMARK_MASTER_KEY_FILE: place }, own)
    warns(t, together.about('master key'), /lies beside the database/)
    renameSync(join(own.folder, place), file)
  }
})

await t.test('a user pool, and a clock that is off', async t => {
  const pool = await startPool(t)
  const reached = await diagnose(pool.settings)
  t.match(reached.about('user pool'), [{ outcome: 'ok', found: `${pool.issuer} can be reached` }])
  pool.answer(response => { response.setHeader('date', new Date(Date.now() - 60_000).toUTCString()).end('{"keys":[]}') })
  warns(t, (await diagnose(pool.settings)).about('clock'), /differs from that of .* by (?:59|60|61) s/)
  pool.answer(response => { response.writeHead(404).end() })
  warns(t, (await diagnose(pool.settings)).about('user pool'), /answers 404/, 'failed')
})
