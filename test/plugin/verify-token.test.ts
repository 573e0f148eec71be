/** Tokens that reach a metadata API by another way than the Authorization header. */
import t from 'tap'
import { optionsFor, startApi, startTown } from '../fakes/metadata-api.ts'

await t.test('a token from elsewhere is judged like one from a header', async t => {
  const town = await startTown(t)
  const { service, pool } = town
  await service.app.listen({ port: town.port, host: '127.0.0.1' })
  const api = await startApi(t, optionsFor(town), api => {
    api.get('/uncaught', async () => await api.verifyToken('x.y.z'))
  })

  const alice = await pool.idToken()
  const { body } = await api.inject({ url: '/me', headers: { authorization: `Bearer ${alice}` } })
  t.strictSame(JSON.parse(JSON.stringify(await api.verifyToken(alice))), JSON.parse(body), 'the same principal')
  const bot = await service.token(await service.bot('ingestion-bot', { scopes: ['metadata:write'] }))
  t.match(await api.verifyToken(bot, { scopes: ['metadata:write'] }), { kind: 'bot', name: 'ingestion-bot' })

  await t.rejects(api.verifyToken(''), { name: 'VerifyError', code: 'token_missing', statusCode: 401 })
  await t.rejects(api.verifyToken(await pool.idToken({ aud: 'another' })), { code: 'client_mismatch', statusCode: 401 })
  await t.rejects(api.verifyToken(alice, { kinds: ['bot'] }), { code: 'role_insufficient', statusCode: 403 })
  await t.rejects(api.verifyToken(bot, { scopes: [] }), { name: 'TypeError' }, 'a demand that demands nothing is a slip of the pen here, too')
  t.equal((await api.inject({ url: '/uncaught' })).statusCode, 401, 'one that nobody catches is answered with its status')

  await service.app.close()
  pool.goDown()
  const cold = await startApi(t, optionsFor(town))
  await t.rejects(cold.verifyToken(alice), { code: 'keys_unavailable', statusCode: 503 })
})
