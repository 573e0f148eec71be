import t from 'tap'
import { stateAt } from '../../../src/keys/signing-key.ts'
import { askAs } from '../../fakes/asking.ts'
import { startService } from '../../fakes/service.ts'

interface Event { id: string, action: string, target: string | null, outcome: string, actor: { kind: string, name: string }, detail: Record<string, unknown>, requestId: string | null }
interface Page { events: Event[], next: string | null }

await t.test('one row for every change, with who did it and by which request', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const created = await admin('POST', '/admin/bots', { name: 'b', scopes: ['a'] })
  const { id } = (await admin('POST', '/admin/bots/b/secrets', { description: 'cron' })).json<{ id: string }>()
  await admin('PATCH', '/admin/bots/b', { enabled: false })
  await admin('PATCH', `/admin/bots/b/secrets/${id}`, { expiresIn: '1h' })
  await admin('DELETE', `/admin/bots/b/secrets/${id}`)
  await admin('PUT', '/admin/bots/b/jwks', { keys: [] })
  await admin('PUT', '/admin/bots/b/trust', [])
  await admin('POST', '/admin/bots/b/revoke-tokens', {})
  await admin('POST', '/admin/keys/rotate', {})
  await admin('POST', '/admin/keys/rotate', { force: true })
  const retired = service.parts.ring.all().find(key => stateAt(key, service.clock()) === 'retired')?.kid ?? ''
  await admin('POST', `/admin/keys/${retired}/revoke`, { reason: 'drill' })
  await admin('POST', `/admin/keys/${retired}/revoke`, { reason: 'again' })
  await admin('DELETE', '/admin/bots/b')
  const dead = await admin('GET', '/admin/audit')
  t.match(dead.json(), { code: 'key_revoked' }, 'the admin\'s own token was signed by the revoked key')

  const fresh = askAs(service.app, await service.token(await service.bot('second-admin', { scopes: ['admin'], audiences: [service.parts.config.issuer] })))
  const { events } = (await fresh('GET', '/admin/audit?actor=admin-bot')).json<Page>()
  t.same(events.map(event => event.action).reverse(), [
    'bot.created', 'secret.created', 'bot.updated', 'secret.updated', 'secret.revoked', 'bot.jwks_set', 'bot.trust_set',
    'bot.tokens_revoked', 'key.rotated', 'key.rotated', 'key.revoked'
  ])
  t.ok(events.every(event => event.actor.kind === 'bot' && event.outcome === 'done'))
  t.match(events.at(-1), { target: 'b', requestId: created.headers['x-request-id'], detail: { scopes: ['a'] } })
  t.match(events[0], { target: retired, detail: { reason: 'drill' } })
  const published = (await fresh('GET', '/admin/audit?action=key.published')).json<Page>().events
  t.ok(published.every(event => event.actor.kind === 'system'))
})

await t.test('pages', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  for (let number = 0; number < 7; number++) await admin('POST', '/admin/bots', { name: `b${number}` })
  const ids: string[] = []
  let next: string | null = null
  do {
    const page: Page = (await admin('GET', `/admin/audit?limit=3&action=bot.created${next === null ? '' : `&before=${next}`}`)).json()
    ids.push(...page.events.map(event => event.id))
    next = page.next
  } while (next !== null)
  t.equal(new Set(ids).size, 8)
  t.same(ids, [...ids].sort((a, b) => Number(b) - Number(a)), 'the newest first')
  t.equal((await admin('GET', '/admin/audit?limit=201')).statusCode, 400)
  t.equal((await admin('GET', '/admin/audit?before=x')).statusCode, 400)
})

await t.test('refused calls that bore a valid token are written down, at most ten a minute', async t => {
  const service = await startService(t)
  const plain = askAs(service.app, await service.token(await service.bot('plain')))
  const reader = askAs(service.app, await service.token(await service.bot('reader', { scopes: ['keys:read'], audiences: [service.parts.config.issuer] })))
  await plain('GET', '/admin/keys')
  for (let call = 0; call < 14; call++) await reader('DELETE', '/admin/bots/plain')
  await service.app.inject({ url: '/admin/keys', headers: { authorization: 'Bearer nonsense' } })
  await service.app.close()

  const refused = (await service.parts.audit.list({ limit: 50 })).filter(event => event.outcome === 'refused')
  t.match(refused.filter(event => event.actor.name === 'plain'), [{ action: 'keys.read', detail: { code: 'audience_mismatch' } }])
  const ofReader = refused.filter(event => event.actor.name === 'reader')
  t.equal(ofReader.length, 11)
  t.match(ofReader[0], { action: 'bot.deleted', target: 'plain', detail: { code: 'scope_insufficient', more: 4 } }, 'the rest are counted')
  t.equal(refused.length, 12, 'nobody else')
})
