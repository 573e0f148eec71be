/** A user pool that does not answer well: what people are told, and who stays signed in. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createUserPool } from '../../../examples/metadata-api/user-pool.ts'
import { movableClock } from '../../fakes/clock.ts'

const clientId = '4kd2bq0example7n1v9c3p5t8u'
const callbackUrl = new URL('http://localhost:8585/callback')

await t.test('a pool that is out of reach, and one that says no', async t => {
  let answer: (response: ServerResponse) => void = response => { response.writeHead(500).end() }
  const server = createServer((_request, response) => { answer(response) })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.close() })
  const authority = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pool`
  const { clock, advance } = movableClock()
  const pool = createUserPool({ authority, clientId, callbackUrl, clock })
  const json = (status: number, body: object): typeof answer => response => { response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)) }

  await t.rejects(pool.begin(), { name: 'SignInError', refused: false, statusCode: 503 }, 'it starts without')
  t.equal(await pool.end(undefined), null)

  answer = json(200, { issuer: authority, authorization_endpoint: `${authority}/authorize`, token_endpoint: `${authority}/token` })
  const { url, attempt } = await pool.begin()
  t.equal(url.pathname, '/pool/authorize', 'it asks again when it is asked again')
  t.notMatch(url.href, attempt.codeVerifier)
  t.equal(await pool.end(undefined), null, 'without a sign-out of its own')

  const tokens = { idToken: 'x.y.z', refreshToken: 'r', expiresAt: clock().getTime() + 50_000 }
  answer = response => { response.writeHead(500).end() }
  t.strictSame(await pool.keepFresh(tokens), tokens, 'what is in hand is good for a while')
  advance(50)
  await t.rejects(pool.keepFresh(tokens), { name: 'SignInError', refused: false, statusCode: 503 })
  let asked = 0
  const refuse = json(400, { error: 'invalid_grant' })
  answer = response => { asked++; refuse(response) }
  const pages = [pool.keepFresh(tokens), pool.keepFresh({ ...tokens })]
  for (const page of pages) await t.rejects(page, { name: 'SignInError', refused: true })
  t.equal(asked, 1, 'a refresh token is shown once, whoever asks meanwhile')
  await t.rejects(pool.keepFresh(tokens), { name: 'SignInError', refused: true })
  t.equal(asked, 2, 'and anew afterwards')
  await t.rejects(pool.finish(new URL(`?code=1&state=${attempt.state}`, callbackUrl), attempt), { name: 'SignInError', refused: true, statusCode: 400 })
  t.strictSame(await pool.keepFresh({ ...tokens, refreshToken: null }), { ...tokens, refreshToken: null }, 'without a refresh token there is nothing to ask')
})
