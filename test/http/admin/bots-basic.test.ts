/** `/admin/bots` and their secrets (contract 7). */
import t from 'tap'
import { draftBot } from '../../../src/bots/bot-draft.ts'
import { ask, faultsOfRefusal, verifyInBody, type Answer } from '../../fakes/pool-answers.ts'
import { openToken } from '../../fakes/pool-forge.ts'
import { startService, TEST_EVENT } from '../../fakes/service.ts'

const service = await startService(t, { MINTMARK_MAX_TOKEN_TTL: '2h' })
const { app } = service
const token = await service.adminToken()

async function call (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object): Promise<Answer> {
  return await ask(app, { method, url, headers: { authorization: `Bearer ${token}` }, ...(payload && { payload }) })
}
const bodyOf = ({ text }: Answer): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>
const fieldsOf = ({ body }: Answer): string[] => body.errors?.map(({ field }) => field.split('.')[0] ?? '') ?? []

async function fetchToken (clientId: string, clientSecret: string): Promise<{ status: number, error?: string, token: string }> {
  const answer = await ask(app, { method: 'POST', url: '/oauth/token', headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload: new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret }).toString() })
  const { error, access_token: token } = bodyOf(answer) as { error?: string, access_token?: string }
  return { status: answer.status, token: token ?? '', ...(error !== undefined && { error }) }
}

await t.test('create', async t => {
  const created = await call('POST', '/admin/bots', { name: 'ingestion-bot' })
  t.equal(created.status, 201)
  const moment = '2026-11-22T10:00:00.000Z'
  const plain = {
    name: 'ingestion-bot',
    clientId: 'ingestion-bot',
    displayName: null,
    email: 'ingestion-bot@open-metadata.org',
    roles: [],
    scopes: [],
    audiences: ['metadata-api'],
    tokenTtl: null,
    enabled: true,
    createdAt: moment,
    updatedAt: moment
  }
  t.match(bodyOf(created), plain)
  const full = { name: 'full.bot_1', displayName: 'Full', email: 'full@example.com', roles: ['A', 'B'], scopes: ['x', 'y'], audiences: ['one', 'two'], tokenTtl: '90m' }
  t.match(bodyOf(await call('POST', '/admin/bots', full)), full)
  t.match(bodyOf(await call('GET', '/admin/bots/full.bot_1')), full, 'and it is read as it was made')
  t.match(bodyOf(await call('GET', '/admin/bots/ingestion-bot')), plain)

  const again = await call('POST', '/admin/bots', { name: 'ingestion-bot', roles: ['Other'] })
  t.equal(again.status, 409)
  t.equal(again.code, 'conflict')
  t.strictSame((await service.parts.bots.find('ingestion-bot'))?.roles, [], 'a taken name changes nothing')
})

await t.test('two at once make one', async t => {
  const statuses = (await Promise.all([1, 2, 3].map(async () => await call('POST', '/admin/bots', { name: 'raced-bot' })))).map(answer => answer.status)
  t.strictSame(statuses.sort(), [201, 409, 409])
})

await t.test('names', async t => {
  for (const name of ['a', '7', 'a-b', 'a.b_c-d', 'x'.repeat(64)]) t.equal((await call('POST', '/admin/bots', { name })).status, 201, name)
  for (const name of ['', 'A', '-a', 'a-', '.a', 'a.', 'a b', 'a/b', 'é', 'x'.repeat(65), 'a\n', 'a:b', 'bot@corp', '../x', 7, null]) {
    const answer = await call('POST', '/admin/bots', { name })
    t.equal(answer.status, 400, JSON.stringify(name))
    t.equal(answer.code, 'validation_failed')
    t.ok(fieldsOf(answer).includes('name'))
  }
})

await t.test('drafts with faults', async t => {
  const faults: Array<[object, string]> = [
    [{}, 'name'],
    [{ name: 'x1', extra: true }, 'extra'],
    [{ name: 'x1', enabled: false }, 'enabled'],
    [{ name: 'x1', roles: 'Role' }, 'roles'],
    [{ name: 'x1', roles: [''] }, 'roles'],
    [{ name: 'x1', scopes: ['a b'] }, 'scopes'],
    [{ name: 'x1', scopes: ['a"'] }, 'scopes'],
    [{ name: 'x1', scopes: ['a', 'a'] }, 'scopes'],
    [{ name: 'x1', audiences: [] }, 'audiences'],
    [{ name: 'x1', audiences: 'x' }, 'audiences'],
    [{ name: 'x1', email: 'nobody' }, 'email'],
    [{ name: 'x1', tokenTtl: '0s' }, 'tokenTtl'],
    [{ name: 'x1', tokenTtl: '1w' }, 'tokenTtl'],
    [{ name: 'x1', tokenTtl: 3600 }, 'tokenTtl'],
    [{ name: 'x1', tokenTtl: '3h' }, 'tokenTtl']
  ]
  for (const [payload, field] of faults) {
    const answer = await call('POST', '/admin/bots', payload)
    t.equal(answer.status, 400, JSON.stringify(payload))
    t.equal(answer.code, 'validation_failed')
    t.ok(fieldsOf(answer).includes(field), `${JSON.stringify(payload)} names ${field}`)
  }
  t.equal(await service.parts.bots.find('x1'), null)
  const both = await call('POST', '/admin/bots', { name: 'X', email: 'nobody', extra: 1 })
  t.strictSame(new Set(fieldsOf(both)), new Set(['name', 'email', 'extra']), 'all faults at once')
  t.match((await call('POST', '/admin/bots', { name: 'x1', tokenTtl: '3h' })).text, /MINTMARK_MAX_TOKEN_TTL/, 'over the ceiling: the setting is named')
})

await t.test('the list', async t => {
  const all = [...await service.parts.bots.list({ limit: 200 })].map(bot => bot.name)
  const names = async (query: string): Promise<{ names: string[], next: string | null }> => {
    const { bots, next } = bodyOf(await call('GET', `/admin/bots${query}`)) as { bots: Array<{ name: string }>, next: string | null }
    return { names: bots.map(bot => bot.name), next }
  }
  t.strictSame(await names(''), { names: all, next: null })
  t.strictSame(all, [...all].sort(), 'by name')
  const walked: string[] = []
  for (let next: string | null = ''; next !== null;) {
    const page = await names(`?limit=3${next === '' ? '' : `&after=${next}`}`)
    t.ok(page.names.length <= 3)
    walked.push(...page.names)
    next = page.next
  }
  t.strictSame(walked, all, 'page by page')
  t.strictSame(await names(`?limit=${all.length}`), { names: all, next: null }, 'a last page that is full has no next')
  t.strictSame(await names('?after=zzz'), { names: [], next: null })
  for (const query of ['?limit=0', '?limit=201', '?limit=-1', '?limit=x', '?limit=1.5', '?limit=', '?unheard=of', '?limit=1&limit=2']) {
    t.equal((await call('GET', `/admin/bots${query}`)).code, 'validation_failed', query)
  }
  t.equal((await call('GET', '/admin/bots?limit=200')).status, 200)
})

await t.test('fifty unless asked otherwise', async t => {
  const many = await startService(t)
  for (let number = 0; number < 55; number++) await many.parts.bots.create(draftBot(`bot-${String(number).padStart(2, '0')}`, {}, ['metadata-api'], many.clock()), null, TEST_EVENT)
  const answer = await ask(many.app, { url: '/admin/bots', headers: { authorization: `Bearer ${await many.adminToken()}` } })
  const { bots, next } = JSON.parse(answer.text) as { bots: Array<{ name: string }>, next: string }
  t.equal(bots.length, 50)
  t.equal(next, bots.at(-1)?.name)
})

await t.test('what is not there', async t => {
  for (const [method, url, payload] of [
    ['GET', '/admin/bots/nobody'], ['PATCH', '/admin/bots/nobody', {}], ['GET', '/admin/bots/nobody/secrets'],
    ['POST', '/admin/bots/nobody/secrets', {}], ['DELETE', '/admin/bots/nobody/secrets/x'], ['DELETE', '/admin/bots/ingestion-bot/secrets/x'], ['GET', '/admin/bots/NOBODY%20AT%20ALL']
  ] as Array<['GET', string, object?]>) {
    const answer = await call(method, url, payload)
    t.equal(answer.status, 404, `${method} ${url}`)
    t.equal(answer.code, 'not_found')
  }
})

await t.test('change', async t => {
  service.advance(1)
  const changed = await call('PATCH', '/admin/bots/ingestion-bot', { roles: ['IngestionBotRole'], scopes: ['a', 'b'], tokenTtl: '30m', displayName: 'Ingestion', email: 'i@example.com' })
  t.equal(changed.status, 200)
  t.match(bodyOf(changed), { roles: ['IngestionBotRole'], scopes: ['a', 'b'], tokenTtl: '30m', displayName: 'Ingestion', email: 'i@example.com', createdAt: '2026-11-22T10:00:00.000Z', updatedAt: '2026-11-22T10:00:01.000Z' })
  const back = await call('PATCH', '/admin/bots/ingestion-bot', { tokenTtl: null, displayName: null, email: null })
  t.match(bodyOf(back), { roles: ['IngestionBotRole'], scopes: ['a', 'b'], tokenTtl: null, displayName: null, email: 'ingestion-bot@open-metadata.org' }, 'null unsets, what is not named stays')
  for (const payload of [{ name: 'other' }, { enabled: 'no' }, { roles: null }, { createdAt: '2026-01-01T00:00:00Z' }, { tokenTtl: '3h' }]) {
    t.equal((await call('PATCH', '/admin/bots/ingestion-bot', payload)).code, 'validation_failed', JSON.stringify(payload))
  }
  t.match(bodyOf(await call('GET', '/admin/bots/ingestion-bot')), { scopes: ['a', 'b'], enabled: true })
})

await t.test('secrets', async t => {
  const made = await call('POST', '/admin/bots/ingestion-bot/secrets', { expiresIn: '1h', description: 'for the nightly run' })
  t.equal(made.status, 201)
  t.equal(made.headers['cache-control'], 'no-store')
  const { id, secret } = bodyOf(made) as { id: string, secret: string }
  t.match(secret, /^mmk_[A-Za-z0-9_-]{43}[A-Za-z0-9]{6}$/)
  t.strictSame(Object.keys(bodyOf(made)).sort(), ['createdAt', 'description', 'expiresAt', 'id', 'secret'])
  t.match(bodyOf(made), { createdAt: '2026-11-22T10:00:01.000Z', expiresAt: '2026-11-22T11:00:01.000Z', description: 'for the nightly run' })
  const other = bodyOf(await call('POST', '/admin/bots/ingestion-bot/secrets')) as { id: string, secret: string, expiresAt: null, description: null }
  t.equal(other.expiresAt, null)
  t.equal(other.description, null)

  const listed = await call('GET', '/admin/bots/ingestion-bot/secrets')
  const { secrets, next } = bodyOf(listed) as { secrets: Array<Record<string, unknown>>, next: null }
  t.equal(next, null)
  t.strictSame(secrets.map(each => each.id).sort(), [id, other.id].sort())
  for (const each of secrets) t.strictSame(Object.keys(each).sort(), ['createdAt', 'description', 'expiresAt', 'id', 'lastUsedAt'])
  t.notOk(listed.text.includes('mmk_'), 'never themselves')
  t.equal((await fetchToken('ingestion-bot', secret)).status, 200)
  t.equal((await fetchToken('ingestion-bot', other.secret)).status, 200)

  for (const payload of [{ expiresIn: '0s' }, { expiresIn: 60 }, { description: '' }, { secret: 'mine' }]) {
    t.equal((await call('POST', '/admin/bots/ingestion-bot/secrets', payload)).code, 'validation_failed', JSON.stringify(payload))
  }
  t.equal((await call('DELETE', `/admin/bots/full.bot_1/secrets/${id}`)).status, 404, 'not by another bot\'s name')
  const gone = await call('DELETE', `/admin/bots/ingestion-bot/secrets/${id}`)
  t.equal(gone.status, 204)
  t.equal(gone.text, '')
  t.equal((await fetchToken('ingestion-bot', secret)).error, 'invalid_client', 'at once')
  t.equal((await fetchToken('ingestion-bot', other.secret)).status, 200, 'the other one is good still')
  t.equal((await call('DELETE', `/admin/bots/ingestion-bot/secrets/${id}`)).status, 404)
})

await t.test('disable takes effect at once, and enable too', async t => {
  const { secret } = bodyOf(await call('POST', '/admin/bots/ingestion-bot/secrets')) as { secret: string }
  const { token: mine } = await fetchToken('ingestion-bot', secret)
  t.equal((await verifyInBody(app, mine)).status, 200)
  t.equal((await call('PATCH', '/admin/bots/ingestion-bot', { enabled: false })).status, 200)
  t.strictSame(faultsOfRefusal(await verifyInBody(app, mine), 'bot_disabled'), [])
  t.equal((await fetchToken('ingestion-bot', secret)).error, 'invalid_client')
  t.match(bodyOf(await call('GET', '/admin/bots/ingestion-bot')), { enabled: false })
  t.equal((await call('PATCH', '/admin/bots/ingestion-bot', { enabled: true })).status, 200)
  t.equal((await verifyInBody(app, mine)).status, 200)
  t.equal((await fetchToken('ingestion-bot', secret)).status, 200)
})

await t.test('a change is in the next token', async t => {
  await call('POST', '/admin/bots', { name: 'changing-bot', scopes: ['one'] })
  const { secret } = bodyOf(await call('POST', '/admin/bots/changing-bot/secrets')) as { secret: string }
  await call('PATCH', '/admin/bots/changing-bot', { scopes: ['two'], roles: ['R'], tokenTtl: '10m' })
  const { payload } = openToken((await fetchToken('changing-bot', secret)).token)
  t.match(payload, { scope: 'two', roles: ['R'] })
  t.equal(Number(payload.exp) - Number(payload.iat), 600)
})
