/** `mintmark/server`: the service in a process of somebody else's. */
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { buildApp, createAdmin, SettingsError, type ServerSettings } from '../src/server.ts'
import { askAs, postForm } from './fakes/asking.ts'
import { movableClock } from './fakes/clock.ts'
import { temporaryFolder } from './fakes/service.ts'

function freshSettings (t: Test): ServerSettings {
  const folder = temporaryFolder(t)
  return { MINTMARK_DATABASE_URL: `sqlite:${folder}/mintmark.db`, MINTMARK_MASTER_KEY_FILE: `${folder}/master.key`, LOG_LEVEL: 'silent' }
}

async function tokenOf (app: FastifyInstance, client: { clientId: string, clientSecret: string }): Promise<string> {
  return (await postForm(app, '/oauth/token', { grant_type: 'client_credentials' }, client)).json<{ access_token: string }>().access_token
}

async function codeOf (app: FastifyInstance, token: string): Promise<string | undefined> {
  return (await app.inject({ method: 'POST', url: '/verify', payload: { token } })).json<{ code?: string }>().code
}

await t.test('the first admin makes all others', async t => {
  const settings = freshSettings(t)
  const admin = await createAdmin('admin-bot', settings)
  const app = await buildApp(settings)
  const ask = askAs(app, await tokenOf(app, admin))
  t.equal((await ask('POST', '/admin/bots', { name: 'ingestion-bot', scopes: ['metadata:write'] })).statusCode, 201)
  t.match((await ask('GET', '/admin/audit?action=bot.created')).json(), { events: [{ target: 'ingestion-bot' }, { target: 'admin-bot', actor: { kind: 'system' } }] })
  await t.rejects(createAdmin('ingestion-bot', settings), /there is a bot named ingestion-bot already/)
  for (const name of ['', 'Bad Name!', '-x', 'a'.repeat(65)]) await t.rejects(createAdmin(name, settings), { name: 'TypeError', message: /no name for a bot/ }, JSON.stringify(name))
  t.match(await createAdmin('late-bot', settings), { clientId: 'late-bot', clientSecret: /^mmk_/ }, 'also beside a running service')
  await app.close()
})

await t.test('what is known at its end is there at the next start', async t => {
  const settings = freshSettings(t)
  const admin = await createAdmin('admin-bot', settings)
  const first = await buildApp(settings)
  const token = await tokenOf(first, admin)
  await first.close()

  const second = await buildApp(settings)
  const { secrets: [secret] } = (await askAs(second, token)('GET', '/admin/bots/admin-bot/secrets')).json<{ secrets: Array<{ lastUsedAt: string | null }> }>()
  t.type(secret?.lastUsedAt, 'string', 'that the secret was used was still to be written')
  await second.close()
})

await t.test('it hears of what others change on its database, from ready on', async t => {
  const settings = freshSettings(t)
  const admin = await createAdmin('admin-bot', settings)
  const [one, other] = [await buildApp(settings), await buildApp(settings)]
  const token = await tokenOf(one, admin)
  t.equal(await codeOf(one, token), undefined)
  t.equal((await askAs(other, token)('PATCH', '/admin/bots/admin-bot', { enabled: false })).statusCode, 200)
  while (await codeOf(one, token) === undefined) await sleep(20)
  t.equal(await codeOf(one, token), 'bot_disabled')
  await one.close()
  await other.close()
})

await t.test('a test moves its clock', async t => {
  const settings = freshSettings(t)
  const admin = await createAdmin('admin-bot', settings)
  const { clock, advance } = movableClock(new Date())
  const app = await buildApp({ ...settings, MINTMARK_MAX_STALENESS: '30d' }, { clock })
  const token = await tokenOf(app, admin)
  advance(3_600 + 6)
  t.equal(await codeOf(app, token), 'token_expired')
  await app.close()
})

await t.test('settings with faults: all of them at once, and nothing is made', async t => {
  const settings = freshSettings(t)
  const error: unknown = await buildApp({ ...settings, MINTMARK_TOKEN_TTL: 'long', MINTMARK_KEY_SIZE: '1' }).catch((error: unknown) => error)
  t.ok(error instanceof SettingsError)
  t.equal((error as SettingsError).faults.length, 2)
  t.notOk(existsSync(settings['MINTMARK_DATABASE_URL']?.replace('sqlite:', '') ?? ''))
})
