import t from 'tap'
import { askAs } from '../fakes/asking.ts'
import { startService } from '../fakes/service.ts'

interface Explanation { active: boolean, code?: string, checks: Array<{ name: string, outcome: string, expected?: string, found?: string, advice?: string }>, principal?: { name: string }, unverified?: { payload: Record<string, unknown> } }

await t.test('POST /verify?explain=true', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const token = await service.token(await service.bot('ingestion-bot'))
  const explain = async (body: object): Promise<Explanation> => (await admin('POST', '/verify?explain=true', body)).json()
  const failed = ({ checks }: Explanation) => checks.find(check => check.outcome === 'failed')

  await t.test('says of a good token that each check passed', async t => {
    const explanation = await explain({ token })
    t.equal(explanation.active, true)
    t.equal(explanation.principal?.name, 'ingestion-bot')
    t.ok(explanation.checks.every(check => check.outcome === 'passed'))
    t.same(explanation.checks.map(check => check.name), ['token', 'size', 'form', 'algorithm', 'issuer', 'key', 'signature', 'type', 'times', 'audience', 'use', 'revocation', 'enabled', 'principal', 'kind', 'scopes', 'roles', 'groups', 'admin', 'pipelines'])
  })

  await t.test('names the one that failed, what was expected and found, and what to do', async t => {
    const explanation = await explain({ token, audience: 'search' })
    t.match(explanation, { active: false, code: 'audience_mismatch' })
    t.match(failed(explanation), { name: 'audience', expected: 'search', found: 'metadata-api', advice: /Add the audience to the bot/ })
    t.notOk(explanation.unverified, 'its signature had passed')
    const names = explanation.checks.map(check => check.name)
    t.ok(explanation.checks.slice(names.indexOf('audience') + 1).every(check => check.outcome === 'skipped'))
    t.match(failed(await explain({ token, scopes: ['x'] })), { name: 'scopes', expected: 'x', found: 'none' })
  })

  await t.test('shows what a token says under "unverified" only, until its signature has passed', async t => {
    const [header = '', payload = '', signature = ''] = token.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
    const forged = [header, Buffer.from(JSON.stringify({ ...claims, sub: 'somebody-else' })).toString('base64url'), signature].join('.')
    const explanation = await explain({ token: forged })
    t.match(explanation, { active: false, code: 'signature_invalid', unverified: { payload: { sub: 'somebody-else' } } })
    t.notMatch(JSON.stringify(explanation.checks), 'somebody-else')
    const unknown = await explain({ token: [header, Buffer.from(JSON.stringify({ ...claims, iss: 'https://evil.example' })).toString('base64url'), signature].join('.') })
    t.match(unknown, { code: 'issuer_unknown', unverified: { payload: { iss: 'https://evil.example' } } })
    t.notMatch(JSON.stringify(unknown.checks), 'evil.example')
  })

  await t.test('always answers 200, whatever the token', async t => {
    for (const body of [{ token: 'x' }, { token: '' }, {}, { token: 'x'.repeat(9_000) }]) {
      const response = await admin('POST', '/verify?explain=true', body)
      t.equal(response.statusCode, 200)
      t.match(response.json(), { active: false, checks: Array })
      t.ok(failed(response.json())?.advice)
    }
  })

  await t.test('is for full admins only', async t => {
    const plain = askAs(service.app, token)
    t.match(await plain('POST', '/verify?explain=true', { token }).then(response => response.json<unknown>()), { code: 'admin_required', status: 403 })
    t.match((await service.app.inject({ method: 'POST', url: '/verify?explain=true', payload: { token } })).json(), { code: 'token_missing' })
  })
})
