import t from 'tap'
import { startService } from './fakes/service.ts'

await t.test('a bot gets a token, and every door knows it', async t => {
  const service = await startService(t)
  const token = await service.token(await service.bot('ingestion-bot', { scopes: ['metadata:write'] }))
  const response = await service.app.inject({ method: 'POST', url: '/verify', headers: { authorization: `Bearer ${token}` } })
  t.equal(response.statusCode, 200)
  t.match(response.json(), { active: true, principal: { kind: 'bot', name: 'ingestion-bot', scopes: ['metadata:write'] } })
})
