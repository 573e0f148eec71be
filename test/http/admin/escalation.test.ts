/** Each way in which a bot that may only change bots could give itself more, and that it cannot. */
import t from 'tap'
import { askAs } from '../../fakes/asking.ts'
import { startService } from '../../fakes/service.ts'

await t.test('scope bots:write does not lead to more', async t => {
  const service = await startService(t)
  const { issuer } = service.parts.config
  await service.adminToken()
  const writer = askAs(service.app, await service.token(await service.bot('writer', { scopes: ['bots:write', 'bots:read'], audiences: [issuer] })))
  await service.bot('reader', { scopes: ['audit:read'], audiences: [issuer] })
  await service.bot('plain', { scopes: ['metadata:write'] })
  const [ownSecret] = await service.parts.secrets.list('writer')

  t.equal((await writer('POST', '/admin/bots', { name: 'harmless', scopes: ['metadata:write'] })).statusCode, 201, 'it may make a bot that cannot administer')
  t.equal((await writer('PATCH', '/admin/bots/plain', { roles: ['IngestionBotRole'] })).statusCode, 200, 'and change one')

  const scopes = ['admin', 'keys:read', 'keys:write', 'bots:read', 'bots:write', 'audit:read']
  const attempts: Array<[string, Parameters<typeof writer>]> = [
    ...scopes.map((scope): [string, Parameters<typeof writer>] => [`make a bot with ${scope}`, ['POST', '/admin/bots', { name: 'new', scopes: [scope] }]]),
    ...scopes.map((scope): [string, Parameters<typeof writer>] => [`give a bot ${scope}`, ['PATCH', '/admin/bots/plain', { scopes: [scope] }]]),
    ['make a bot with our audience', ['POST', '/admin/bots', { name: 'new', audiences: [issuer] }]],
    ['give a bot our audience', ['PATCH', '/admin/bots/plain', { audiences: ['metadata-api', issuer] }]],
    ['change itself', ['PATCH', '/admin/bots/writer', { scopes: ['bots:write', 'admin'] }]],
    ['take the audience from an admin bot', ['PATCH', '/admin/bots/admin-bot', { audiences: ['metadata-api'] }]],
    ['switch an admin off', ['PATCH', '/admin/bots/admin-bot', { enabled: false }]],
    ['be an admin by machine client', ['PATCH', '/admin/bots/admin-bot', { cognitoClientIds: ['mine'] }]],
    ['make a secret of an admin', ['POST', '/admin/bots/admin-bot/secrets', {}]],
    ['make a secret of a reader', ['POST', '/admin/bots/reader/secrets', {}]],
    ['make a secret of itself', ['POST', '/admin/bots/writer/secrets', {}]],
    ['end a secret of itself', ['DELETE', `/admin/bots/writer/secrets/${ownSecret?.id ?? ''}`]],
    ['expire a secret of itself', ['PATCH', `/admin/bots/writer/secrets/${ownSecret?.id ?? ''}`, { expiresIn: '1s' }]],
    ['set the keys of an admin', ['PUT', '/admin/bots/admin-bot/jwks', { keys: [] }]],
    ['set the trust of an admin', ['PUT', '/admin/bots/admin-bot/trust', []]],
    ['have a token of an admin', ['POST', '/admin/bots/admin-bot/tokens', { expiresIn: '1h' }]],
    ['take back an admin\'s tokens', ['POST', '/admin/bots/admin-bot/revoke-tokens', {}]],
    ['delete an admin', ['DELETE', '/admin/bots/admin-bot']]
  ]
  for (const [what, [method, url, body]] of attempts) {
    const response = await writer(method, url, body)
    t.match({ status: response.statusCode, body: response.json<unknown>() }, { status: 403, body: { code: 'scope_insufficient' } }, what)
  }
  t.same((await service.parts.bots.find('plain'))?.scopes, ['metadata:write'], 'nothing has changed')
  t.equal(await service.parts.bots.find('new'), null)
  t.equal((await service.parts.bots.find('admin-bot'))?.enabled, true)
})

await t.test('each scope opens its own doors only', async t => {
  const service = await startService(t)
  const { issuer } = service.parts.config
  await service.bot('plain')
  const doors: Array<[string, Parameters<ReturnType<typeof askAs>>]> = [
    ['keys:read', ['GET', '/admin/keys']],
    ['keys:write', ['POST', '/admin/keys/rotate', {}]],
    ['bots:read', ['GET', '/admin/bots']],
    ['bots:read', ['GET', '/admin/bots/plain/secrets']],
    ['bots:write', ['PATCH', '/admin/bots/plain', {}]],
    ['audit:read', ['GET', '/admin/audit']]
  ]
  for (const scope of new Set(doors.map(([needed]) => needed))) {
    const ask = askAs(service.app, await service.token(await service.bot(`with-${scope.replace(':', '-')}`, { scopes: [scope], audiences: [issuer] })))
    for (const [needed, [method, url, body]] of doors) {
      const { statusCode } = await ask(method, url, body)
      t.equal(statusCode, needed === scope ? 200 : 403, `${scope}: ${method} ${url}`)
    }
  }
})
