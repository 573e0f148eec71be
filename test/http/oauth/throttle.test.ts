import t from 'tap'
import { postForm } from '../../fakes/asking.ts'
import { startService } from '../../fakes/service.ts'

const form = { grant_type: 'client_credentials' }

await t.test('failed client authentications are held up', async t => {
  const service = await startService(t, { MINTMARK_FAILED_LOGINS_PER_MINUTE: '3' })
  const { app } = service
  const client = await service.bot('ingestion-bot')
  const wrong = { ...client, clientSecret: 'mmk_wrong' }
  const fail = async (who = wrong) => await postForm(app, '/oauth/token', form, who)

  for (let attempt = 1; attempt <= 3; attempt++) t.equal((await fail()).statusCode, 401, `attempt ${attempt}`)
  const held = await fail()
  t.match({ status: held.statusCode, body: held.json<unknown>() }, { status: 429, body: { error: 'slow_down' } })
  t.ok(Number(held.headers['retry-after']) > 0, 'says when to try again')

  t.equal((await postForm(app, '/oauth/token', form, client)).statusCode, 200, 'the right secret always gets in')
  t.equal((await fail({ ...wrong, clientId: 'another' })).statusCode, 401, 'another client is not concerned')
  const elsewhere = await app.inject({ method: 'POST', url: '/oauth/token', remoteAddress: '10.1.2.3', headers: { authorization: `Basic ${Buffer.from('ingestion-bot:x').toString('base64')}`, 'content-type': 'application/x-www-form-urlencoded' }, payload: 'grant_type=client_credentials' })
  t.equal(elsewhere.statusCode, 401, 'nor is another address')
  t.equal((await postForm(app, '/oauth/revoke', { token: 'x' }, wrong)).statusCode, 429, 'the same at every endpoint')
})

await t.test('0 holds up nobody', async t => {
  const service = await startService(t, { MINTMARK_FAILED_LOGINS_PER_MINUTE: '0' })
  for (let attempt = 0; attempt < 40; attempt++) {
    const { statusCode } = await postForm(service.app, '/oauth/token', form, { clientId: 'nobody', clientSecret: 'x' })
    if (statusCode !== 401) t.fail(`attempt ${attempt} was answered ${statusCode}`)
  }
})

await t.test('a trusted proxy says whose address it is; any other does not', async t => {
  for (const [trusted, expected] of [['127.0.0.1', 401], ['10.9.9.9', 429]] as const) {
    const service = await startService(t, { MINTMARK_FAILED_LOGINS_PER_MINUTE: '1', MINTMARK_TRUST_PROXY: trusted })
    const wrong = { clientId: 'x', clientSecret: 'y' }
    await postForm(service.app, '/oauth/token', form, wrong, { 'x-forwarded-for': '1.1.1.1' })
    t.equal((await postForm(service.app, '/oauth/token', form, wrong, { 'x-forwarded-for': '2.2.2.2' })).statusCode, expected, `behind ${trusted}`)
  }
})

await t.test('when a secret was last used is known within a flush, not at each request', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot')
  await service.token(client)
  t.equal((await service.parts.secrets.list('ingestion-bot'))[0]?.lastUsedAt, null)
  await service.parts.secretUsage.flush()
  t.same((await service.parts.secrets.list('ingestion-bot'))[0]?.lastUsedAt, service.clock())
})
