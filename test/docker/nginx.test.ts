/** deploy/docker/nginx.conf in a real nginx: two replicas behind one name, and the stand-in for a metadata API. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { nginxConfiguration, startFront } from '../fakes/compose.ts'
import { nginxIsMissing } from '../fakes/nginx.ts'
import { startService, type Service, type Teardown } from '../fakes/service.ts'
import { freePort } from '../fakes/shell.ts'

const EXPLAINED = readFileSync(new URL('../../examples/nginx/mintmark.conf', import.meta.url), 'utf8')
const skip = process.platform === 'linux' ? nginxIsMissing : 'only Linux has 127.0.0.2 without being asked'

interface Replicas {
  first: Service
  second: Service
  /** Asks mintmark by nginx. */
  mintmark: (path: string, init?: RequestInit) => Promise<Response>
  /** Asks the metadata API by nginx. @param token `null`: none */
  api: (token: string | null, init?: RequestInit) => Promise<{ status: number, text: string, challenge: string | null }>
}

await t.test('what guards the API is what docs/proxies.md explains', async t => {
  const guard = (text: string): string => text.slice(text.indexOf('    location / {\n        auth_request'))
    .replaceAll(/http:\/\/\$?(?:metadata_)?api;/g, 'http://API;')
    .replaceAll(/http:\/\/\$?mintmark\//g, 'http://MINTMARK/')
    .replaceAll(/^ *proxy_connect_timeout 2s;\n/gm, '')
  t.equal(guard(nginxConfiguration), guard(EXPLAINED))
})

await t.test('with both replicas', { skip }, async t => {
  const { first, mintmark, api } = await startReplicas(t)
  const { clientId, clientSecret } = await first.bot('ingestion-bot', { scopes: ['metadata:write'] })
  const reader = await first.token(await first.bot('reader-bot'))
  const authorization = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`

  const answer = await mintmark('/oauth/token', { method: 'POST', headers: { authorization }, body: new URLSearchParams({ grant_type: 'client_credentials' }) })
  t.equal(answer.status, 200)
  const { access_token: token } = await answer.json() as { access_token: string }
  t.equal((await mintmark('/.well-known/jwks.json')).status, 200)
  t.match(await (await mintmark('/verify', { method: 'POST', headers: { authorization: `Bearer ${token}` } })).json(), { active: true })
  t.equal((await mintmark('/metrics')).status, 404, 'nothing for strangers')

  t.match(await api(token), { status: 200, text: 'hello, ingestion-bot (bot)\n' })
  t.match(await api(token, { method: 'PUT', headers: { 'x-auth-request-user': 'admin' } }), { status: 200, text: 'hello, ingestion-bot (bot)\n' }, 'a client cannot say who it is')
  t.match(await api(reader), { status: 200, text: 'hello, reader-bot (bot)\n' })
  t.match(await api(reader, { method: 'PUT' }), { status: 403, challenge: /insufficient_scope/ })
  t.match(await api(null), { status: 401, challenge: 'Bearer realm="mintmark"' })
})

await t.test('who is throttled is the client, whatever it claims to be', { skip }, async t => {
  const { first, second, mintmark } = await startReplicas(t, { MINTMARK_TRUST_PROXY: '127.0.0.1', MINTMARK_FAILED_LOGINS_PER_MINUTE: '2' })
  await second.app.close()
  await first.bot('ingestion-bot')
  const statuses = []
  for (const claimed of ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4']) {
    const headers = { authorization: `Basic ${Buffer.from('ingestion-bot:wrong').toString('base64')}`, 'x-forwarded-for': claimed }
    statuses.push((await mintmark('/oauth/token', { method: 'POST', headers, body: new URLSearchParams({ grant_type: 'client_credentials' }) })).status)
  }
  t.strictSame(statuses, [401, 401, 429, 429])
})

await t.test('with one replica, and with none', { skip }, async t => {
  const { first, second, api, mintmark } = await startReplicas(t)
  const token = await first.token(await first.bot('ingestion-bot'))
  await second.app.close()
  const answers = await Promise.all(Array.from({ length: 6 }, async () => (await api(token)).status))
  t.strictSame(answers, [200, 200, 200, 200, 200, 200], 'the other one answers')
  await first.app.close()
  t.match(await api(token), { status: 500 }, 'nobody passes')
  t.equal((await mintmark('/health/ready')).status, 502)
})

/** Two replicas over one database, on one port of two addresses, as two containers have. */
async function startReplicas (t: Teardown, environment: Record<string, string> = {}): Promise<Replicas> {
  const first = await startService(t, environment)
  const { databaseUrl, masterKey } = first.parts.config
  const second = await startService(t, { ...environment, MINTMARK_DATABASE_URL: databaseUrl, MINTMARK_MASTER_KEY_FILE: 'file' in masterKey ? masterKey.file : '' })
  const ports = { mintmark: await freePort(), api: await freePort(), replica: await freePort() }
  await first.app.listen({ host: '127.0.0.1', port: ports.replica })
  await second.app.listen({ host: '127.0.0.2', port: ports.replica })
  await startFront(t, ports, ['127.0.0.1', '127.0.0.2'])

  return {
    first,
    second,
    mintmark: async (path, init = {}) => await fetch(`http://127.0.0.1:${ports.mintmark}${path}`, init),
    async api (token, init = {}) {
      const headers = { ...init.headers as Record<string, string>, ...(token === null ? {} : { authorization: `Bearer ${token}` }) }
      const response = await fetch(`http://127.0.0.1:${ports.api}/api/v1/tables`, { ...init, headers })
      return { status: response.status, text: await response.text(), challenge: response.headers.get('www-authenticate') }
    }
  }
}
