import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { askAs } from '../../fakes/asking.ts'
import { startService } from '../../fakes/service.ts'

await t.test('delete, revoke-tokens', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const codeOf = async (token: string): Promise<unknown> => (await askAs(service.app, token)('POST', '/verify')).json<{ code?: string }>().code

  await t.test('a deleted bot\'s tokens and secrets are dead, also when its name is used again', async t => {
    const client = await service.bot('ingestion-bot')
    const token = await service.token(client)
    t.equal((await admin('DELETE', '/admin/bots/ingestion-bot')).statusCode, 204)
    t.equal(await codeOf(token), 'token_revoked')
    await t.rejects(service.token(client), /invalid_client/)
    t.equal((await admin('GET', '/admin/bots/ingestion-bot')).statusCode, 404)
    t.equal((await admin('DELETE', '/admin/bots/ingestion-bot')).statusCode, 404)

    const again = await service.bot('ingestion-bot')
    await t.rejects(service.token(client), /invalid_client/, 'the old secret is not the new bot\'s')
    t.equal(await codeOf(token), 'token_revoked')
    const fresh = await service.token(again)
    t.equal(await codeOf(fresh), undefined)
  })

  await t.test('revoke-tokens ends all that there are, and none that come after', async t => {
    const client = await service.bot('pipeline')
    const [first, second] = [await service.token(client), await service.token(client)]
    const response = await admin('POST', '/admin/bots/pipeline/revoke-tokens', {})
    t.equal(response.statusCode, 200)
    t.equal(response.json<{ notBefore: string }>().notBefore, new Date(Math.floor(service.clock().getTime() / 1000 + 1) * 1000).toISOString())
    for (const token of [first, second]) t.equal(await codeOf(token), 'token_revoked')
    t.equal(await codeOf(await service.token(client)), undefined)
    t.equal((await admin('POST', '/admin/bots/nobody/revoke-tokens', {})).statusCode, 404)
  })
})

await t.test('a token that is asked for while the bot is ended is not to be had', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const client = await service.bot('victim')
  await admin('POST', '/admin/bots/victim/revoke-tokens', {})
  const asked = service.token(client).then(() => 'issued', (error: unknown) => String(error))
  await new Promise(resolve => { setTimeout(resolve, 100) })
  t.equal((await admin('DELETE', '/admin/bots/victim')).statusCode, 204)
  t.match(await asked, /invalid_client/)
})

await t.test('a bot whose tokens no verifier would take cannot be made', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const many = (length: number): string[] => Array.from({ length: 60 }, (_, number) => `${'r'.repeat(length)}${number}`)
  t.match((await admin('POST', '/admin/bots', { name: 'big', roles: many(200) })).json(), { code: 'validation_failed', errors: [{ message: /8 KiB/ }] })
  t.equal((await admin('POST', '/admin/bots', { name: 'big', roles: many(60) })).statusCode, 201)
  t.match((await admin('PATCH', '/admin/bots/big', { scopes: many(100) })).json(), { code: 'validation_failed' })
  const made = await admin('POST', '/admin/bots/big/tokens', { expiresIn: '1h' })
  t.equal((await askAs(service.app, made.json<{ token: string }>().token)('POST', '/verify')).statusCode, 200)
})

await t.test('POST …/tokens makes a token to paste', async t => {
  const service = await startService(t, { MINTMARK_MAX_TOKEN_TTL: '60d' })
  const admin = askAs(service.app, await service.adminToken())
  await service.bot('ingestion-bot', { scopes: ['a'] })
  const lifeOf = async (body: object): Promise<number | string> => {
    const response = await admin('POST', '/admin/bots/ingestion-bot/tokens', body)
    if (response.statusCode !== 201) return response.json<{ errors: Array<{ message: string }> }>().errors[0]?.message ?? response.body
    return (Date.parse(response.json<{ expiresAt: string }>().expiresAt) - service.clock().getTime()) / 86_400_000
  }

  t.equal(await lifeOf({ expiry: 'OneHour' }), 1 / 24)
  const { ring } = service.parts
  const { signing } = ring
  ring.signing = () => undefined
  t.match((await admin('POST', '/admin/bots/ingestion-bot/tokens', { expiry: 'OneHour' })).json(), { status: 503, code: 'unavailable' }, 'no key signs')
  ring.signing = signing
  for (const days of [1, 7, 30, 60]) t.equal(await lifeOf({ expiry: String(days) }), days)
  t.equal(await lifeOf({ expiresIn: '12h' }), 0.5)
  t.match(await lifeOf({ expiry: '90' }), /MINTMARK_MAX_TOKEN_TTL/)
  t.match(await lifeOf({ expiry: 'Unlimited' }), /no token lives for ever/)
  t.match(await lifeOf({ expiry: '2' }), /takes OneHour|takes 1/)
  t.match(await lifeOf({}), /send one of them/)
  t.match(await lifeOf({ expiry: '1', expiresIn: '1h' }), /send one of them/)

  const response = await admin('POST', '/admin/bots/ingestion-bot/tokens', { expiresIn: '1h' })
  t.equal(response.headers['cache-control'], 'no-store')
  const { token, tokenId } = response.json<{ token: string, tokenId: string }>()
  t.match((await askAs(service.app, token)('POST', '/verify')).json(), { active: true, principal: { tokenId, scopes: ['a'] } })
  const [event] = await service.parts.audit.list({ limit: 1 })
  t.match(event, { action: 'token.issued', target: 'ingestion-bot', detail: { tokenId } })
  t.notMatch(JSON.stringify(event), token, 'never the token itself')

  await admin('PATCH', '/admin/bots/ingestion-bot', { enabled: false })
  t.equal((await admin('POST', '/admin/bots/ingestion-bot/tokens', { expiresIn: '1h' })).statusCode, 409)
})

await t.test('PUT …/jwks and …/trust are validated, and stored', async t => {
  const service = await startService(t, { MINTMARK_TRUSTED_ISSUERS: '[https://token.actions.githubusercontent.com]' })
  const token = await service.adminToken()
  const admin = askAs(service.app, token)
  await service.bot('ingestion-bot')
  const jwk = (type: 'rsa' | 'ec' | 'ed25519', options: object = {}) => generateKeyPairSync(type as 'rsa', { modulusLength: 2048, namedCurve: 'P-256', ...options } as { modulusLength: number })
  const faultOf = async (path: string, body: unknown): Promise<unknown> => {
    const response = await admin('PUT', `/admin/bots/ingestion-bot/${path}`, body)
    return response.statusCode === 200 ? 'taken' : response.json<{ errors: unknown[] }>().errors[0]
  }

  const rsa = jwk('rsa').publicKey.export({ format: 'jwk' })
  const keys = [{ ...rsa, kid: '1' }, { ...jwk('ec').publicKey.export({ format: 'jwk' }), kid: '2', alg: 'ES256' }, jwk('ed25519').publicKey.export({ format: 'jwk' })]
  t.equal(await faultOf('jwks', { keys }), 'taken')
  t.match((await service.parts.bots.find('ingestion-bot'))?.jwks, keys)
  t.match(await faultOf('jwks', { keys: [jwk('rsa').privateKey.export({ format: 'jwk' })] }), { field: 'keys.0', message: /private key/ })
  t.match(await faultOf('jwks', { keys: [jwk('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })] }), { message: /under 2048 bit/ })
  t.match(await faultOf('jwks', { keys: [jwk('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })] }), { message: /P-256/ })
  t.match(await faultOf('jwks', { keys: [{ ...rsa, use: 'enc' }] }), { message: /not for signatures/ })
  t.match(await faultOf('jwks', { keys: [{ ...rsa, key_ops: ['sign'] }] }), { message: /key_ops/ })
  t.match(await faultOf('jwks', { keys: [{ ...rsa, alg: 'RS512' }] }), { message: /RS256/ })
  t.match(await faultOf('jwks', { keys: [{ kty: 'oct', k: 'AA' }] }), { message: /private key/ })
  t.match(await faultOf('jwks', { keys: [{ ...rsa, kid: '1' }, { ...rsa, kid: '1' }] }), { field: 'keys', message: /twice/ })
  t.match(await faultOf('jwks', { keys: [{ kty: 'RSA', e: 'AQAB' }] }), { message: /not a public key/ })

  const deep = await service.app.inject({ method: 'PUT', url: '/admin/bots/ingestion-bot/jwks', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, payload: `{"keys":[{"kty":"RSA","z":${'['.repeat(5_000)}${']'.repeat(5_000)}}]}` })
  t.equal(deep.statusCode, 400, 'a member that no key has, however deep')

  const rule = { issuer: 'https://token.actions.githubusercontent.com', audience: 'mintmark', subject: 'repo:acme/*' }
  t.equal(await faultOf('trust', [rule, { ...rule, subject: 'repo:acme/data:ref:refs/heads/main', claims: { environment: 'prod' }, pipelineClaim: 'workflow', runClaim: 'run_id' }]), 'taken')
  t.match((await service.parts.bots.find('ingestion-bot'))?.trust, [rule])
  for (const subject of ['*', 'repo*', 'repo:*/x', '*:x', 'a:*b*']) t.match(await faultOf('trust', [{ ...rule, subject }]), { field: '0.subject' }, subject)
  t.match(await faultOf('trust', [{ ...rule, issuer: 'https://elsewhere.example' }]), { field: '0.issuer', message: /MINTMARK_TRUSTED_ISSUERS/ })
  t.match(await faultOf('trust', [{ ...rule, extra: 1 }]), { message: /not a field/ })
  t.equal(await faultOf('trust', [{ ...rule, claims: { attempt: 1, protected: true, '/a/b': 'c' } }]), 'taken')
  for (const value of [{}, [], null, 1.5, 2 ** 60]) t.match(await faultOf('trust', [{ ...rule, claims: { x: value } }]), { field: '0.claims.x' }, JSON.stringify(value))
})

await t.test('PATCH …/secrets/{id} lets a secret expire sooner, never later', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const client = await service.bot('ingestion-bot')
  const [secret] = await service.parts.secrets.list('ingestion-bot')
  const expire = async (expiresIn: string) => await admin('PATCH', `/admin/bots/ingestion-bot/secrets/${secret?.id ?? ''}`, { expiresIn })

  t.match((await expire('2h')).json(), { id: secret?.id, expiresAt: new Date(service.clock().getTime() + 7_200_000).toISOString() })
  t.equal((await expire('3h')).statusCode, 400)
  t.equal((await expire('1h')).statusCode, 200)
  t.ok(await service.token(client))
  service.advance(3600)
  await service.parts.changes.catchUp()
  await t.rejects(service.token(client), /invalid_client/)
})

await t.test('a machine client of the user pool stands for one bot only', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  t.equal((await admin('POST', '/admin/bots', { name: 'a', cognitoClientIds: ['client-1'] })).statusCode, 201)
  t.equal((await admin('POST', '/admin/bots', { name: 'b', cognitoClientIds: ['client-1'] })).statusCode, 409)
  t.equal((await admin('POST', '/admin/bots', { name: 'b' })).statusCode, 201)
  t.equal((await admin('PATCH', '/admin/bots/b', { cognitoClientIds: ['client-1'] })).statusCode, 409)
  t.equal((await admin('PATCH', '/admin/bots/a', { cognitoClientIds: [] })).statusCode, 200)
  t.equal((await admin('PATCH', '/admin/bots/b', { cognitoClientIds: ['client-1'] })).statusCode, 200)
})
