/** `?dryRun=true` on every act on keys says what the act would do and touch, and changes nothing. */
import t from 'tap'
import { askAs } from '../../fakes/asking.ts'
import { startService, type Service } from '../../fakes/service.ts'

interface Dry { dryRun?: boolean, effectiveAt: string, signing: string, next: string, touches?: { liveTokens: number, bots: string[], until: string | null, lastUsedAt: string | null } }

const ringOf = (service: Service): string => JSON.stringify([service.parts.ring.all(), service.parts.ring.generation()])

await t.test('rotations', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  for (const name of ['a', 'b']) await service.token(await service.bot(name))
  await service.token(await service.bot('short', { tokenTtlSeconds: 60 }))
  await service.parts.tokenCounts.flush()
  const expInMinutes = new Date(Math.ceil((service.clock().getTime() / 1000 + 3_600) / 60) * 60_000).toISOString()

  await t.test('an emergency shows which tokens would die', async t => {
    const before = ringOf(service)
    const dry = (await admin('POST', '/admin/keys/rotate?dryRun=true', { emergency: true, reason: 'drill' })).json<Dry>()
    t.match(dry, { dryRun: true, touches: { liveTokens: 4, bots: ['a', 'admin-bot', 'b', 'short'], until: expInMinutes, lastUsedAt: service.clock().toISOString() } })
    t.equal(ringOf(service), before, 'nothing has changed')
    t.equal((await service.parts.audit.list({ limit: 1, action: 'key.rotated' })).length, 0)
  })

  await t.test('others touch none', async t => {
    for (const body of [{}, { force: true }]) {
      const dry = (await admin('POST', '/admin/keys/rotate?dryRun=true', body)).json<Dry>()
      t.match(dry, { dryRun: true, touches: { liveTokens: 0, bots: [], until: null } })
      t.notOk((await admin('POST', '/admin/keys/rotate?dryRun=true', { emergency: true })).statusCode === 200, 'faults are faults in a dry run too')
    }
  })

  await t.test('what is shown is what then happens', async t => {
    for (const body of [{}, { force: true }]) {
      const { dryRun: _, touches: __, ...shown } = (await admin('POST', '/admin/keys/rotate?dryRun=true', body)).json<Dry>()
      t.same((await admin('POST', '/admin/keys/rotate', body)).json(), shown, JSON.stringify(body))
    }
  })

  await t.test('tokens that are over do not count', async t => {
    service.advance(180)
    const retired = service.parts.ring.all().find(key => key.signsUntil !== null && key.signsUntil <= service.clock())?.kid ?? ''
    const dry = (await admin('POST', `/admin/keys/${retired}/revoke?dryRun=true`, { reason: 'drill' })).json<Dry>()
    t.match(dry, { dryRun: true, kid: retired, state: 'revoked', touches: { liveTokens: 3, bots: ['a', 'admin-bot', 'b'] } })
    t.equal((await admin('POST', '/admin/keys/none/revoke?dryRun=true', { reason: 'drill' })).statusCode, 404)
    t.match((await admin('GET', '/admin/keys')).json<{ keys: Array<{ kid: string, tokens: unknown }> }>().keys.find(key => key.kid === retired)?.tokens, { issued: 4, liveUntil: expInMinutes, bots: 3 })
  })
})

await t.test('counts are written at once for many tokens, survive a restart, and are not lost while writes fail', async t => {
  const service = await startService(t)
  const client = await service.bot('busy')
  for (let token = 0; token < 20; token++) await service.token(client)
  const { tokenCounts, counts } = service.parts
  t.equal((await counts.read(service.clock())).size, 0, 'nothing is written for a token alone')
  await tokenCounts.flush()
  const [known] = [...(await counts.read(service.clock())).values()]
  t.match(known, { issued: 20, liveTokens: 20, bots: ['busy'] })
  await service.token(client)
  await tokenCounts.flush()
  await tokenCounts.flush()
  t.equal([...(await counts.read(service.clock())).values()][0]?.issued, 21)
})
