/** The JWKS (contract 3.3), the server's metadata (5), health (8). */
import { createPublicKey } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import t from 'tap'
import { ask } from '../fakes/pool-answers.ts'
import { startService, TEST_EVENT } from '../fakes/service.ts'

const PATHS = ['/.well-known/jwks.json', '/api/v1/system/config/jwks']

interface Jwks { keys: Array<{ kty: string, use: string, alg: string, kid: string, n: string, e: string }> }

await t.test('the JWKS', async t => {
  const service = await startService(t, { MINTMARK_JWKS_MAX_AGE: '10m' })
  for (const url of PATHS) {
    const { status, headers, text } = await ask(service.app, { url })
    t.equal(status, 200, url)
    t.match(headers['content-type'], /^application\/jwk-set\+json/)
    t.equal(headers.vary, 'Accept')
    t.equal(headers['cache-control'], 'public, max-age=600, stale-while-revalidate=600, stale-if-error=3600')
    t.match(headers.etag, /^"[^"]+"$/, 'strong')
    const { keys } = JSON.parse(text) as Jwks
    t.equal(keys.length, 2, 'one that signs, and one that waits')
    t.equal(keys[0]?.kid, service.parts.ring.signing()?.kid, 'the signing one first')
    for (const key of keys) {
      t.strictSame(Object.keys(key).sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use'])
      t.match(key, { kty: 'RSA', use: 'sig', alg: 'RS256' })
      t.match(key.n, /^[\w-]+$/, 'unpadded base64url')
      t.not(Buffer.from(key.n, 'base64url')[0], 0, 'without leading zero bytes')
      t.equal(key.kid, await calculateJwkThumbprint(key), 'RFC 7638')
      t.equal(createPublicKey({ key, format: 'jwk' }).asymmetricKeyDetails?.modulusLength, 2048)
    }
  }
  const [one, two] = await Promise.all(PATHS.map(async url => (await ask(service.app, { url })).text))
  t.equal(one, two, 'the same at OpenMetadata\'s address')
})

await t.test('what it is called when it is asked for plain JSON', async t => {
  const { app } = await startService(t)
  const typeFor = async (accept?: string): Promise<unknown> => (await ask(app, { url: '/.well-known/jwks.json', headers: accept === undefined ? {} : { accept } })).headers['content-type']
  t.match(await typeFor('application/json'), /^application\/json/)
  for (const accept of [undefined, '*/*', 'application/jwk-set+json', 'application/jwk-set+json, application/json', 'application/json, */*', 'text/html']) {
    t.match(await typeFor(accept), /^application\/jwk-set\+json/, `Accept: ${accept ?? 'none'}`)
  }
})

await t.test('304 while it is the same', async t => {
  const service = await startService(t)
  const url = '/.well-known/jwks.json'
  const before = await ask(service.app, { url })
  const etag = String(before.headers.etag)
  for (const given of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const answer = await ask(service.app, { url, headers: { 'if-none-match': given } })
    t.equal(answer.status, 304, given)
    t.equal(answer.text, '')
    t.equal(answer.headers.etag, etag)
    t.equal(answer.headers.vary, 'Accept')
    t.match(answer.headers['cache-control'], /^public, max-age=/)
  }
  t.equal((await ask(service.app, { url, headers: { 'if-none-match': '"other"' } })).status, 200)
  await service.parts.rotator.rotate({ kind: 'forced' }, TEST_EVENT)
  const after = await ask(service.app, { url, headers: { 'if-none-match': etag } })
  t.equal(after.status, 200, 'a rotation changes it at once')
  t.equal((JSON.parse(after.text) as Jwks).keys.length, 3)
  t.equal((await ask(service.app, { method: 'HEAD', url })).status, 200)
  t.equal((await ask(service.app, { method: 'HEAD', url })).text, '')
})

await t.test('it changes by the passing of time alone, and a revoked key leaves', async t => {
  const service = await startService(t, { MINTMARK_ROTATE_EVERY: '2d', MINTMARK_MAX_TOKEN_TTL: '1h' })
  const kids = async (): Promise<string[]> => (JSON.parse((await ask(service.app, { url: '/.well-known/jwks.json' })).text) as Jwks).keys.map(key => key.kid)
  const [first = '', second = ''] = await kids()
  service.advance(2 * 86_400 + 1)
  t.strictSame((await kids()).slice(0, 2).includes(first), true)
  t.equal((await kids())[0], second, 'the next one signs when its time has come')
  service.advance(3600 + 60)
  t.notOk((await kids()).includes(first), 'a key whose last token is over is gone')
  await service.parts.rotator.settle()
  await service.parts.rotator.revoke(second, 'lost', TEST_EVENT)
  t.notOk((await kids()).includes(second))
})

await t.test('the server\'s metadata', async t => {
  const { app } = await startService(t, { MINTMARK_PUBLIC_URL: 'https://tokens.example.com/base/', MINTMARK_ISSUER: 'https://issuer.example.com' })
  const [one, two] = await Promise.all(['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'].map(async url => await ask(app, { url })))
  t.equal(one?.status, 200)
  t.equal(one?.text, two?.text, 'the same document')
  t.match(one?.headers['content-type'], /^application\/json/)
  const metadata = JSON.parse(one?.text ?? '') as Record<string, unknown>
  t.match(metadata, {
    issuer: 'https://issuer.example.com',
    token_endpoint: 'https://tokens.example.com/base/oauth/token',
    jwks_uri: 'https://tokens.example.com/base/.well-known/jwks.json'
  })
  t.ok((metadata.grant_types_supported as string[]).includes('client_credentials'))
  for (const method of ['client_secret_basic', 'client_secret_post']) t.ok((metadata.token_endpoint_auth_methods_supported as string[]).includes(method))
  t.ok(Array.isArray(metadata.response_types_supported), 'required by RFC 8414')
})

await t.test('health', async t => {
  const service = await startService(t, { MINTMARK_MAX_STALENESS: '1m' })
  await service.bot('ingestion-bot')
  t.equal((await ask(service.app, { url: '/health/live' })).status, 200)
  const ready = await ask(service.app, { url: '/health/ready' })
  t.equal(ready.status, 200)
  t.notOk(ready.text.includes('ingestion-bot'), 'names no bot')
  service.advance(61)
  const stale = await ask(service.app, { url: '/health/ready' })
  t.equal(stale.status, 503, 'the database was not seen for longer than the limit')
  t.match(stale.text, /database/)
  t.equal((await ask(service.app, { url: '/health/live' })).status, 200, 'it lives all the same')
  await service.parts.changes.catchUp()
  t.equal((await ask(service.app, { url: '/health/ready' })).status, 200)
  service.advance(40 * 86_400)
  await service.parts.changes.catchUp()
  t.match((await ask(service.app, { url: '/health/ready' })).text, /rotation is overdue/)
})
