import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { OAUTH_ERRORS } from '../../src/http/oauth/oauth-error.ts'
import { PROBLEMS } from '../../src/http/problems.ts'
import { askAs, postForm } from '../fakes/asking.ts'
import { startService } from '../fakes/service.ts'

interface Operation { summary?: string, tags?: string[], parameters?: Array<{ name: string, schema: object }>, requestBody?: { content: Record<string, { schema: object }> }, responses: Record<string, { description?: string, content?: Record<string, { schema: object }> }> }
interface Document { openapi: string, paths: Record<string, Record<string, Operation>> }

await t.test('GET /openapi.json', async t => {
  const service = await startService(t)
  const document = (await service.app.inject('/openapi.json')).json<Document>()
  const operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })))

  await t.test('holds every route, with a summary and a tag', async t => {
    t.match(document.openapi, /^3\.1/)
    const promised = [
      'get /.well-known/jwks.json', 'get /api/v1/system/config/jwks', 'get /.well-known/token-revocations',
      'get /.well-known/oauth-authorization-server', 'get /.well-known/openid-configuration',
      'post /oauth/token', 'post /oauth/introspect', 'post /oauth/revoke', 'post /verify', 'get /auth', 'get /health/live', 'get /health/ready', 'get /metrics',
      'get /admin/keys', 'post /admin/keys/rotate', 'post /admin/keys/{kid}/revoke', 'post /admin/bots', 'get /admin/bots', 'get /admin/bots/{name}', 'patch /admin/bots/{name}',
      'delete /admin/bots/{name}', 'post /admin/bots/{name}/secrets', 'get /admin/bots/{name}/secrets', 'patch /admin/bots/{name}/secrets/{id}', 'delete /admin/bots/{name}/secrets/{id}',
      'put /admin/bots/{name}/jwks', 'put /admin/bots/{name}/trust', 'post /admin/bots/{name}/tokens', 'post /admin/bots/{name}/revoke-tokens', 'get /admin/audit'
    ]
    const found = operations.map(({ method, path }) => `${method} ${path}`)
    for (const route of promised) t.ok(found.includes(route), route)
    for (const { method, path, operation } of operations) t.ok(operation.summary && operation.tags?.length, `${method} ${path} says what it is`)
  })

  await t.test('holds every route that there is', async t => {
    const registered = service.app.printRoutes({ commonPrefix: false }).match(/\([A-Z, -]+\)/g) ?? []
    t.ok(registered.length > 20)
    for (const path of ['/auth', '/metrics', '/verify', '/admin/audit', '/oauth/revoke']) t.ok(document.paths[path], path)
  })

  await t.test('holds each code', async t => {
    const text = JSON.stringify(document)
    for (const code of Object.keys(PROBLEMS)) {
      if (['not_found', 'method_not_allowed', 'rate_limited'].includes(code)) continue
      t.ok(text.includes(`urn:mintmark:${code}`), code)
    }
    for (const error of Object.keys(OAUTH_ERRORS)) t.ok(text.includes(`"${error}"`), error)
  })

  await t.test('names methods that OpenAPI knows, and no others', async t => {
    const known = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']
    t.same(operations.filter(({ method }) => !known.includes(method)), [])
    t.match(JSON.stringify(document.paths['/auth']), /"name":"scope"/)
  })

  await t.test('asks for what JSON Schema can say: nobody else looks whether it does', async t => {
    const ajv = addFormats.default(new Ajv({ strict: false })) // of the same draft as those that the service compiles
    const asked = operations.flatMap(({ method, path, operation: { parameters = [], requestBody } }) => [
      ...parameters.map(({ name, schema }) => ({ name: `${method} ${path}, ${name}`, schema })),
      ...Object.values(requestBody?.content ?? {}).map(({ schema }) => ({ name: `${method} ${path}, its body`, schema }))
    ])
    t.ok(asked.length > 40)
    for (const { name, schema } of asked) t.ok(ajv.validateSchema(schema), `${name}: ${ajv.errorsText()}`)
    t.notOk(ajv.validateSchema({ type: 'strin' }))
  })

  await t.test('is what the service really answers', async t => {
    const ajv = addFormats.default(new Ajv2020({ strict: false, validateFormats: true }))
    const client = await service.bot('ingestion-bot', { scopes: ['a', 'introspect'] })
    const [admin, bot] = [askAs(service.app, await service.adminToken()), askAs(service.app, await service.token(client))]
    const token = await service.token(client)
    const secret = (await admin('POST', '/admin/bots/ingestion-bot/secrets', {})).json<{ id: string }>()
    const kid = service.parts.ring.all()[1]?.kid ?? ''

    const answers: Array<[string, string, LightMyRequestResponse]> = [
      ['get', '/.well-known/jwks.json', await service.app.inject('/.well-known/jwks.json')],
      ['get', '/.well-known/oauth-authorization-server', await service.app.inject('/.well-known/oauth-authorization-server')],
      ['get', '/health/live', await service.app.inject('/health/live')],
      ['get', '/health/ready', await service.app.inject('/health/ready')],
      ['post', '/oauth/token', await postForm(service.app, '/oauth/token', { grant_type: 'client_credentials' }, client)],
      ['post', '/oauth/token', await postForm(service.app, '/oauth/token', { grant_type: 'password' }, client)],
      ['post', '/oauth/token', await postForm(service.app, '/oauth/token', { grant_type: 'client_credentials' })],
      ['post', '/oauth/introspect', await postForm(service.app, '/oauth/introspect', { token }, client)],
      ['post', '/oauth/introspect', await postForm(service.app, '/oauth/introspect', { token: 'x' }, client)],
      ['post', '/oauth/revoke', await postForm(service.app, '/oauth/revoke', { token: 'x' }, client)],
      ['post', '/verify', await bot('POST', '/verify')],
      ['post', '/verify', await bot('POST', '/verify', { tokn: 1 })],
      ['post', '/verify', await admin('POST', '/verify?explain=true', { token: 'a.b.c' })],
      ['post', '/verify', await service.app.inject({ method: 'POST', url: '/verify' })],
      ['get', '/admin/keys', await admin('GET', '/admin/keys')],
      ['get', '/admin/keys', await bot('GET', '/admin/keys')],
      ['post', '/admin/keys/rotate', await admin('POST', '/admin/keys/rotate', {})],
      ['post', '/admin/keys/rotate', await admin('POST', '/admin/keys/rotate', { emergency: true })],
      ['post', '/admin/keys/{kid}/revoke', await admin('POST', `/admin/keys/${kid}/revoke`, { reason: 'x' })],
      ['post', '/admin/keys/{kid}/revoke', await admin('POST', '/admin/keys/none/revoke', { reason: 'x' })],
      ['post', '/admin/bots', await admin('POST', '/admin/bots', { name: 'b', tokenTtl: '1h' })],
      ['post', '/admin/bots', await admin('POST', '/admin/bots', { name: 'b' })],
      ['post', '/admin/bots', await admin('POST', '/admin/bots', { name: '-' })],
      ['get', '/admin/bots', await admin('GET', '/admin/bots?limit=1')],
      ['get', '/admin/bots/{name}', await admin('GET', '/admin/bots/b')],
      ['get', '/admin/bots/{name}', await admin('GET', '/admin/bots/none')],
      ['patch', '/admin/bots/{name}', await admin('PATCH', '/admin/bots/b', { displayName: 'B' })],
      ['post', '/admin/bots/{name}/secrets', await admin('POST', '/admin/bots/b/secrets', { expiresIn: '1d' })],
      ['get', '/admin/bots/{name}/secrets', await admin('GET', '/admin/bots/b/secrets')],
      ['patch', '/admin/bots/{name}/secrets/{id}', await admin('PATCH', `/admin/bots/ingestion-bot/secrets/${secret.id}`, { expiresIn: '1h' })],
      ['delete', '/admin/bots/{name}/secrets/{id}', await admin('DELETE', `/admin/bots/ingestion-bot/secrets/${secret.id}`)],
      ['put', '/admin/bots/{name}/jwks', await admin('PUT', '/admin/bots/b/jwks', { keys: [] })],
      ['put', '/admin/bots/{name}/trust', await admin('PUT', '/admin/bots/b/trust', [])],
      ['post', '/admin/bots/{name}/tokens', await admin('POST', '/admin/bots/b/tokens', { expiry: 'OneHour' })],
      ['post', '/admin/bots/{name}/revoke-tokens', await admin('POST', '/admin/bots/b/revoke-tokens', {})],
      ['delete', '/admin/bots/{name}', await admin('DELETE', '/admin/bots/b')],
      ['get', '/admin/audit', await admin('GET', '/admin/audit')]
    ]
    for (const [method, path, response] of answers) {
      const documented = document.paths[path]?.[method]?.responses[response.statusCode]
      const name = `${method} ${path} ${response.statusCode}`
      if (!documented) {
        t.fail(`${name} is not documented: ${response.body}`)
        continue
      }
      const type = (response.headers['content-type'] ?? '').split(';')[0] ?? ''
      const schema = documented.content?.[type]?.schema
      if (response.body === '') t.notOk(documented.content, `${name} has no body`)
      else if (!schema) t.fail(`${name} is not documented as ${type}`)
      else t.ok(ajv.validate(schema, response.json()), `${name} ${ajv.errorsText()}`)
    }
  })

  await t.test('is rendered at /docs, with headers that keep the page to itself', async t => {
    const page = await service.app.inject('/docs/')
    t.equal(page.statusCode, 200)
    t.match(page.headers, { 'content-type': /text\/html/, 'content-security-policy': /default-src 'self'/, 'x-content-type-options': 'nosniff' })
    t.equal((await service.app.inject('/docs/json')).json<Document>().openapi, document.openapi)
  })
})
