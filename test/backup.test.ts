/** `mintmark backup` under writers, and what a folder that has only the backup and the master key makes of the tokens of before. */
import { cpSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openShell, type Server } from './fakes/pool-processes.ts'
import { temporaryFolder } from './fakes/service.ts'

t.setTimeout(120_000)

/** Two places that are one service to the outside: tokens of the one are tokens of the other. */
const SETTINGS = { MINTMARK_ISSUER: 'http://localhost:8590', LOG_LEVEL: 'error' }

interface Ring { keys: Array<{ kid: string, state: string }>, nextRotationAt: string }

async function fetchToken ({ url }: Server, clientSecret: string): Promise<string> {
  const response = await fetch(`${url}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: 'a-bot', client_secret: clientSecret }) })
  return (await response.json() as { access_token: string }).access_token
}

async function verify ({ url }: Server, token: string): Promise<string> {
  const answer = await (await fetch(`${url}/verify`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })).json() as { active?: boolean, code?: string }
  return answer.code ?? String(answer.active)
}

await t.test('a backup that was made while others wrote is whole, and restores into a fresh folder', async t => {
  const before = openShell(t, temporaryFolder(t), SETTINGS)
  const { clientSecret } = await before.json<{ clientSecret: string }>('bot', 'create', 'a-bot', '--secret')
  const server = await before.serve()
  const tokens = await Promise.all(Array.from({ length: 20 }, async () => await fetchToken(server, clientSecret)))
  const [revoked = '', good = ''] = tokens
  await fetch(`${server.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ token: revoked, client_id: 'a-bot', client_secret: clientSecret }) })

  const [made] = await Promise.all([
    before.run('backup', 'mintmark.db.backup', '--json'),
    ...Array.from({ length: 30 }, async () => await fetchToken(server, clientSecret)),
    before.run('key', 'rotate', '--force')
  ])
  t.equal(made.code, 0, made.stderr)
  const file = join(before.folder, 'mintmark.db.backup')
  t.match(JSON.parse(made.stdout), { file: 'mintmark.db.backup', bytes: statSync(file).size })
  t.equal(statSync(file).mode & 0o777, 0o600, 'its owner alone reads it')
  t.strictSame(readdirSync(before.folder).filter(name => name.startsWith('mintmark.db')), ['mintmark.db.backup'], 'one file, and nothing unfinished beside it')
  const ring = await before.json<Ring>('key', 'list')
  await server.end('SIGTERM')

  const after = openShell(t, temporaryFolder(t), SETTINGS)
  for (const folder of ['data', 'keys']) mkdirSync(join(after.folder, folder))
  cpSync(file, join(after.folder, 'data/mintmark.db'))
  cpSync(join(before.folder, 'keys/master.key'), join(after.folder, 'keys/master.key'))
  const restored = await after.serve()
  t.equal(await verify(restored, good), 'true', 'a token of before is good')
  t.equal(await verify(restored, revoked), 'token_revoked', 'one that was taken back before stays so')
  t.equal(await verify(restored, await fetchToken(restored, clientSecret)), 'true', 'the secret of before fetches new ones')
  const known = (await after.json<Ring>('key', 'list')).keys.map(key => key.kid)
  t.ok(known.every(kid => ring.keys.some(key => key.kid === kid)), 'the ring goes on, without a new key')
  t.equal((await after.run('key', 'rotate', '--force')).code, 0)
  t.equal(await verify(restored, good), 'true')
  await restored.end('SIGTERM')
})

await t.test('it overwrites nothing, and says what to do instead', async t => {
  const shell = openShell(t, temporaryFolder(t), SETTINGS)
  t.match(await shell.run('backup', 'there.db'), { code: 1, stderr: /no database to back up at sqlite:data\/mintmark\.db, see MINTMARK_DATABASE_URL/ })
  t.notOk(existsSync(join(shell.folder, 'data')), 'and makes no database')
  await shell.json('bot', 'create', 'a-bot')
  writeFileSync(join(shell.folder, 'there.db'), 'precious')
  t.match(await shell.run('backup', 'there.db'), { code: 1, stderr: /there\.db is there already, and a backup is never overwritten/ })
  t.equal(statSync(join(shell.folder, 'there.db')).size, 'precious'.length)
  t.match(await shell.run('backup', 'nowhere/b.db'), { code: 1, stderr: /the backup cannot be written: ENOENT/ })
  t.match(await shell.run('backup', 'good.db'), { code: 0, stdout: /The master key is not in it, and must be kept elsewhere: keys\/master\.key/ })
  t.match(await shell.runWith({ settings: { MINTMARK_DATABASE_URL: 'postgres://localhost/x', MINTMARK_MASTER_KEY: 'A'.repeat(43) } }, 'backup', 'x.db'), { code: 1, stderr: /pg_dump/ })

  writeFileSync(join(shell.folder, 'data/mintmark.db'), 'no database')
  t.equal((await shell.run('backup', 'broken.db')).code, 1)
  t.strictSame(readdirSync(shell.folder).filter(name => name.startsWith('broken.db')), [], 'of a file that is no database nothing is left')
})
