import t from 'tap'
import { askAs, postForm } from '../../fakes/asking.ts'
import { startService } from '../../fakes/service.ts'

await t.test('POST /oauth/revoke (RFC 7009)', async t => {
  const service = await startService(t)
  const { app } = service
  const [mine, other] = [await service.bot('mine', { scopes: ['a'] }), await service.bot('other')]
  const admin = await service.adminToken()
  const codeOf = async (token: string): Promise<unknown> => (await askAs(app, token)('POST', '/verify')).json<{ code?: string }>().code

  await t.test('a bot takes back its own token, which every door then refuses', async t => {
    const [token, another] = [await service.token(mine), await service.token(mine)]
    const response = await postForm(app, '/oauth/revoke', { token, token_type_hint: 'access_token' }, mine)
    t.equal(response.statusCode, 200)
    t.equal(response.body, '')
    t.equal(response.headers['cache-control'], 'no-store')
    t.equal(await codeOf(token), 'token_revoked')
    t.equal((await app.inject({ url: '/auth', headers: { authorization: `Bearer ${token}` } })).statusCode, 401)
    t.equal(await codeOf(another), undefined, 'and no other')
    t.equal((await postForm(app, '/oauth/revoke', { token }, mine)).statusCode, 200, 'twice is once')
  })

  await t.test('a bot cannot take back another bot\'s token', async t => {
    const token = await service.token(other)
    const response = await postForm(app, '/oauth/revoke', { token }, mine)
    t.match({ status: response.statusCode, body: response.json<unknown>() }, { status: 400, body: { error: 'unauthorized_client' } })
    t.equal(await codeOf(token), undefined)
  })

  await t.test('an admin takes back any, also one of a bot that is switched off', async t => {
    const token = await service.token(other)
    await askAs(app, admin)('PATCH', '/admin/bots/other', { enabled: false })
    t.equal((await postForm(app, '/oauth/revoke', { token }, undefined, { authorization: `Bearer ${admin}` })).statusCode, 200)
    await askAs(app, admin)('PATCH', '/admin/bots/other', { enabled: true })
    t.equal(await codeOf(token), 'token_revoked')
  })

  await t.test('says 200 for what was never a token of ours, and writes nothing', async t => {
    const before = (await service.parts.audit.list({ limit: 1 }))[0]?.id
    for (const token of ['nonsense', 'a.b.c', `${await service.token(mine)}x`]) {
      t.equal((await postForm(app, '/oauth/revoke', { token }, mine)).statusCode, 200, token.slice(0, 10))
    }
    t.equal((await service.parts.audit.list({ limit: 1 }))[0]?.id, before)
  })

  await t.test('asks who calls, and what for', async t => {
    const token = await service.token(mine)
    t.match((await postForm(app, '/oauth/revoke', { token })).json(), { error: 'invalid_client' })
    t.match((await postForm(app, '/oauth/revoke', {}, mine)).json(), { error: 'invalid_request', error_description: /token is missing/ })
    t.match(await postForm(app, '/oauth/revoke', { token }, undefined, { authorization: `Bearer ${token}` }).then(response => ({ status: response.statusCode, body: response.json<unknown>(), challenge: response.headers['www-authenticate'] })),
      { status: 401, body: { error: 'invalid_token' }, challenge: /error="invalid_token"/ }, 'a bot\'s own bearer token is no client authentication')
    t.match((await postForm(app, '/oauth/revoke', { token, client_secret: 'x' }, undefined, { authorization: `Bearer ${admin}` })).json(), { error: 'invalid_request' })
  })

  await t.test('is written down, with who did it', async t => {
    const token = await service.token(mine)
    await postForm(app, '/oauth/revoke', { token }, mine)
    t.match(await service.parts.audit.list({ limit: 1 }), [{ action: 'token.revoked', actor: { kind: 'bot', name: 'mine' }, target: 'mine', outcome: 'done' }])
  })
})

await t.test('a revoked token stays revoked across a restart, and is forgotten once it would have expired anyway', async t => {
  const first = await startService(t)
  const mine = await first.bot('mine')
  const token = await first.token(mine)
  await postForm(first.app, '/oauth/revoke', { token }, mine)

  const second = await startService(t, { MINTMARK_DATABASE_URL: first.parts.config.databaseUrl, MINTMARK_MASTER_KEY_FILE: 'file' in first.parts.config.masterKey ? first.parts.config.masterKey.file : '' }, first)
  t.match((await askAs(second.app, token)('POST', '/verify')).json(), { code: 'token_revoked' })
  t.match(second.parts.revocationCounts(), { tokens: 1 })

  first.advance(3 * 3600)
  await second.parts.changes.catchUp()
  await postForm(second.app, '/oauth/revoke', { token: await second.token(mine) }, mine)
  t.match(second.parts.revocationCounts(), { tokens: 1 }, 'the first is forgotten, in memory')
  const third = await startService(t, { MINTMARK_DATABASE_URL: first.parts.config.databaseUrl, MINTMARK_MASTER_KEY_FILE: 'file' in first.parts.config.masterKey ? first.parts.config.masterKey.file : '' }, first)
  t.match(third.parts.revocationCounts(), { tokens: 1 }, 'and in the database')
})
