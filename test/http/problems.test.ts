/** Failures that are no token's fault (contract 6.5): paths, methods, bodies. */
import t from 'tap'
import { ask } from '../fakes/pool-answers.ts'
import { startService } from '../fakes/service.ts'

const service = await startService(t)
const { app } = service
await service.bot('ingestion-bot')
const admin = { authorization: `Bearer ${await service.adminToken()}` }

await t.test('404', async t => {
  for (const url of ['/', '/verify/', '/admin', '/admin/nothing', '/oauth', '/.well-known', '/.env', '/VERIFY', '/health', '/admin/keys/x/y/z', '/__proto__']) {
    for (const headers of [{}, admin]) {
      const answer = await ask(app, { url, headers })
      t.equal(answer.status, 404, url)
      t.match(answer.body, { type: 'urn:mintmark:not_found', status: 404, code: 'not_found', requestId: answer.headers['x-request-id'] as string })
      t.match(answer.headers['content-type'], /^application\/problem\+json/)
      t.equal(answer.challenge, null)
      t.equal(answer.headers.allow, undefined)
    }
  }
})

await t.test('405 with Allow', async t => {
  const known: Array<[method: string, url: string, allow: string[]]> = [
    ['GET', '/verify', ['POST']],
    ['DELETE', '/verify', ['POST']],
    ['GET', '/verify?explain=true', ['POST']],
    ['GET', '/oauth/token', ['POST']],
    ['POST', '/.well-known/jwks.json', ['GET', 'HEAD']],
    ['PUT', '/health/live', ['GET', 'HEAD']],
    ['PUT', '/admin/keys', ['GET', 'HEAD']],
    ['GET', '/admin/keys/rotate', ['POST']],
    ['PUT', '/admin/bots', ['GET', 'HEAD', 'POST']],
    ['GET', '/admin/keys/some-kid/revoke', ['POST']],
    ['PUT', '/admin/bots/ingestion-bot', ['GET', 'HEAD', 'PATCH']],
    ['PUT', '/admin/bots/ingestion-bot/secrets?x=1', ['GET', 'HEAD', 'POST']],
    ['PUT', '/admin/bots/ingestion-bot/secrets/some-id', ['DELETE']]
  ]
  for (const [method, url, allow] of known) {
    const answer = await ask(app, { method, url, headers: admin })
    t.equal(answer.status, 405, `${method} ${url}`)
    t.equal(answer.code, 'method_not_allowed')
    const allowed = String(answer.headers.allow).split(', ')
    for (const each of allow) t.ok(allowed.includes(each), `${method} ${url} allows ${each}`)
    t.notOk(allowed.includes(method))
  }
})

await t.test('HEAD goes where GET does', async t => {
  for (const url of ['/.well-known/jwks.json', '/health/live', '/health/ready', '/.well-known/openid-configuration']) t.equal((await ask(app, { method: 'HEAD', url })).status, 200, url)
  t.equal((await ask(app, { method: 'HEAD', url: '/admin/keys', headers: admin })).status, 200)
  t.equal((await ask(app, { method: 'HEAD', url: '/admin/keys' })).status, 401, 'and through the same guard')
})

await t.test('413', async t => {
  for (const url of ['/verify', '/admin/bots']) {
    const answer = await ask(app, { method: 'POST', url, headers: { ...admin, 'content-type': 'application/json' }, payload: JSON.stringify({ token: 'x'.repeat(70 * 1024) }) })
    t.equal(answer.status, 413, url)
    t.equal(answer.code, 'payload_too_large')
  }
})

await t.test('415', async t => {
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'nonsense']) {
    for (const url of ['/verify', '/admin/bots']) {
      const answer = await ask(app, { method: 'POST', url, headers: { ...admin, 'content-type': type }, payload: 'token=x' })
      t.equal(answer.status, 415, `${type} at ${url}`)
      t.equal(answer.code, 'unsupported_media_type', `${type} at ${url}`)
    }
  }
})

await t.test('bodies that are no JSON', async t => {
  for (const payload of ['{', '{"token":}', 'token', '{"token":"x"', Buffer.from([0xff, 0xfe, 0x00])]) {
    for (const url of ['/verify', '/admin/bots', '/admin/keys/rotate']) {
      const answer = await ask(app, { method: 'POST', url, headers: { ...(url !== '/verify' && admin), 'content-type': 'application/json' }, payload })
      t.equal(answer.status, 400, `${String(payload)} at ${url}`)
      t.ok(['request_invalid', 'validation_failed'].includes(answer.code ?? ''), answer.code ?? answer.text)
    }
  }
})

await t.test('keys of a JSON body that would reach a prototype', async t => {
  for (const payload of ['{"__proto__":{"admin":true},"name":"x"}', '{"name":"y","constructor":{"prototype":{"admin":true}}}']) {
    const answer = await ask(app, { method: 'POST', url: '/admin/bots', headers: { ...admin, 'content-type': 'application/json' }, payload })
    t.equal(answer.status, 400, payload)
  }
  t.notOk('admin' in {})
})

await t.test('a path that does not decode', async t => {
  for (const url of ['/%', '/admin/bots/%zz', '/admin/bots/%E0%A4%A']) {
    const answer = await ask(app, { url, headers: admin })
    t.equal(answer.status, 400, url)
    t.equal(answer.code, 'request_invalid')
    t.equal(answer.body.requestId, answer.headers['x-request-id'])
  }
})

await t.test('an error inside says nothing of the inside', async t => {
  const broken = await startService(t)
  broken.parts.verifier.verify = async () => { throw new Error('the secret is in /etc/passwd') }
  const answer = await ask(broken.app, { method: 'POST', url: '/verify', payload: { token: 'x' } })
  t.equal(answer.status, 500)
  t.equal(answer.code, 'internal_error')
  t.notMatch(answer.text, /passwd|\.ts|stack/)
})

await t.test('a body that is said to be JSON, and is not there, is no body', async t => {
  const service = await startService(t)
  const token = await service.token(await service.bot('ingestion-bot'))
  const response = await service.app.inject({ method: 'POST', url: '/verify', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } })
  t.equal(response.statusCode, 200)
})
