/** Token exchange: what is no token of a trusted workload, or meets no rule, and who learns of it. */
import type { LightMyRequestResponse } from 'fastify'
import { pino } from 'pino'
import t from 'tap'
import { buildApp } from '../../../src/app.ts'
import type { TrustRule } from '../../../src/bots/bot.ts'
import { askAs } from '../../fakes/asking.ts'
import { AUDIENCE, TYPE, exchange, refused, serviceTrusting } from '../../fakes/exchanging.ts'
import { legacyServer } from '../../fakes/legacy-server.ts'
import { startPlatform } from '../../fakes/platforms.ts'
import { startService, temporaryFolder, TEST_EVENT } from '../../fakes/service.ts'
import { handmade, makeSigner } from '../../fakes/signers.ts'

await t.test('requests that are none', async t => {
  const setting = await serviceTrusting(t, await startPlatform(t))
  const client = await setting.bot('other-bot')
  const token = await setting.sign()
  const wrong: Array<[string, LightMyRequestResponse]> = [
    ['no subject_token', await exchange(setting, '')],
    ['no type', await exchange(setting, token, { subject_token_type: '' })],
    ['SAML', await exchange(setting, token, { subject_token_type: `${TYPE}saml2` })],
    ['a refresh token', await exchange(setting, token, { subject_token_type: `${TYPE}refresh_token` })],
    ['an actor', await exchange(setting, token, { actor_token: token, actor_token_type: `${TYPE}jwt` })],
    ['another type wanted', await exchange(setting, token, { requested_token_type: `${TYPE}refresh_token` })],
    ['a secret, too', await exchange(setting, token, {}, client)],
    ['a secret in the body, too', await exchange(setting, token, { client_id: client.clientId, client_secret: client.clientSecret })],
    ['an assertion, too', await exchange(setting, token, { client_assertion: token })],
    ['no JWT', await exchange(setting, 'a token')],
    ['a JWT without signature', await exchange(setting, handmade({ alg: 'none' }, setting.claims(), ''))],
    ['an HMAC', await exchange(setting, handmade({ alg: 'HS256' }, setting.claims()))],
    ['an algorithm that is not taken', await exchange(setting, await (await makeSigner('RS512')).sign(setting.claims()))],
    ['an extension that must be understood', await exchange(setting, handmade({ alg: 'ES256', crit: ['b64'], b64: false }, setting.claims()))],
    ['a huge one', await exchange(setting, await setting.sign({ padding: 'x'.repeat(9_000) }))]
  ]
  for (const [message, answer] of wrong) refused(t, answer, 'invalid_request', /./, message)
  t.equal(setting.platform.asked.length, 0, 'nobody was asked for keys')
})

await t.test('tokens of nobody who is trusted', async t => {
  const platform = await startPlatform(t)
  const setting = await serviceTrusting(t, platform)
  const elsewhere = await startPlatform(t)
  const now = setting.clock().getTime() / 1000
  const [header = '', , signature = ''] = (await setting.sign()).split('.')
  const stranger = await makeSigner()
  const own = await setting.token(await setting.bot('own-bot'))
  const wrong: Array<[string, string]> = [
    ['an issuer that nobody named', await elsewhere.signer.sign(setting.claims({ iss: elsewhere.issuer }))],
    ['the same issuer with a slash', await setting.sign({ iss: `${platform.issuer}/` })],
    ['an issuer below it', await setting.sign({ iss: `${platform.issuer}/elsewhere` })],
    ['an issuer that is a list', await setting.sign({ iss: [platform.issuer] })],
    ['no issuer', await setting.sign({ iss: undefined })],
    ['a key of that name that is another', await stranger.sign(setting.claims())],
    ['an unknown key', await stranger.sign(setting.claims(), { kid: 'unknown' })],
    ['a key in the header', await stranger.sign(setting.claims(), { jwk: stranger.jwk, jku: `${elsewhere.issuer}/keys`, x5u: `${elsewhere.issuer}/x` })],
    ['another algorithm than the key\'s', await (await makeSigner('RS256', platform.signer.kid)).sign(setting.claims())],
    ['another payload under the signature', `${header}.${Buffer.from(JSON.stringify(setting.claims({ exp: now + 9_999 }))).toString('base64url')}.${signature}`],
    ['a token of our own', own]
  ]
  for (const [message, token] of wrong) refused(t, await exchange(setting, token), 'invalid_grant', /^The subject token is not of a trusted issuer$/, message)
  t.same(elsewhere.asked, [], 'nobody was asked whom the settings do not name')
})

await t.test('a person\'s token, ours and a legacy one never pass, since their issuers cannot be trusted', async t => {
  const pool = 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example01'
  const start = async (environment: Record<string, string>): Promise<unknown> => await startService(t, environment)
  for (const [message, environment] of [
    ['ours', { MINTMARK_TRUSTED_ISSUERS: '[http://localhost:8590]' }],
    ['ours, from a file, with a slash', { MINTMARK_TRUSTED_ISSUERS: '[http://localhost:8590/=keys.json]' }],
    ['the pool', { MINTMARK_TRUSTED_ISSUERS: `[${pool}]`, AUTHENTICATION_PROVIDER: 'aws-cognito', AUTHENTICATION_AUTHORITY: pool, AUTHENTICATION_CLIENT_ID: 'x' }],
    ['the pool\'s other name', { MINTMARK_TRUSTED_ISSUERS: `[${pool.replace('https://', 'https://issuer-')}]`, AUTHENTICATION_PROVIDER: 'aws-cognito', AUTHENTICATION_AUTHORITY: pool, AUTHENTICATION_CLIENT_ID: 'x' }],
    ['any pool', { MINTMARK_TRUSTED_ISSUERS: `[${pool}=keys.json]` }],
    ['an emulator\'s pool', { MINTMARK_TRUSTED_ISSUERS: '[http://127.0.0.1:9229/pool/]', AUTHENTICATION_PROVIDER: 'aws-cognito', AUTHENTICATION_AUTHORITY: 'http://127.0.0.1:9229/pool', AUTHENTICATION_CLIENT_ID: 'x' }],
    ['an issuer twice', { MINTMARK_TRUSTED_ISSUERS: '[https://one.example, https://one.example=keys.json]' }]
  ] as Array<[string, Record<string, string>]>) await t.rejects(start(environment), { name: 'SettingsError', message: /^MINTMARK_TRUSTED_ISSUERS takes/ }, message)
})

await t.test('nor may an issuer that was ours, or that a legacy key was imported for', async t => {
  const database = { MINTMARK_DATABASE_URL: `sqlite:${temporaryFolder(t)}/mintmark.db` }
  const service = await startService(t, { ...database, MINTMARK_MASTER_KEY: Buffer.alloc(32, 7).toString('base64url'), MINTMARK_MASTER_KEY_FILE: '', MINTMARK_ISSUER: 'https://before.example' })
  const asAdmin = askAs(service.app, await service.adminToken())
  const publicKey = legacyServer(service.clock).publicKey.export({ type: 'spki', format: 'pem' })
  t.equal((await asAdmin('POST', '/admin/keys/import', { publicKey, kid: 'legacy', issuer: 'https://legacy.example' })).statusCode, 201)
  for (const issuer of ['https://before.example', 'https://legacy.example']) {
    const again = startService(t, { ...database, MINTMARK_MASTER_KEY: Buffer.alloc(32, 7).toString('base64url'), MINTMARK_MASTER_KEY_FILE: '', MINTMARK_TRUSTED_ISSUERS: `[${issuer}]` }, service)
    await t.rejects(again, { name: 'SettingsError', message: /^MINTMARK_TRUSTED_ISSUERS takes/ }, issuer)
  }
})

await t.test('a token whose signature is good is told what is wrong with its times', async t => {
  const setting = await serviceTrusting(t, await startPlatform(t))
  const now = setting.clock().getTime() / 1000
  for (const [message, changes, told] of [
    ['expired', { exp: now - 6 }, /expired/],
    ['no exp', { exp: undefined }, /exp is missing/],
    ['an exp that is text', { exp: '9999999999' }, /exp is missing/],
    ['exp null, as legacy tokens have it', { exp: null }, /exp is missing/],
    ['valid later', { nbf: now + 6 }, /nbf/],
    ['issued in the future', { iat: now + 6 }, /iat/]
  ] as Array<[string, Record<string, unknown>, RegExp]>) refused(t, await exchange(setting, await setting.sign(changes)), 'invalid_grant', told, message)
  t.equal((await exchange(setting, await setting.sign({ iat: undefined, nbf: undefined, exp: now + 10 * 365 * 86_400 }))).statusCode, 200, 'only exp is required, and may be far ahead')
})

await t.test('rules are met exactly', async t => {
  const cases: Array<[string, Partial<TrustRule>, Record<string, unknown>, boolean]> = [
    ['one of several audiences', {}, { aud: ['x', AUDIENCE] }, true],
    ['one audience', {}, { aud: AUDIENCE }, true],
    ['another audience', {}, { aud: 'x' }, false],
    ['an audience that only begins so', {}, { aud: `${AUDIENCE}.evil.example` }, false],
    ['no audience', {}, { aud: undefined }, false],
    ['an audience inside an object', {}, { aud: { 0: AUDIENCE } }, false],
    ['a list in a list', {}, { aud: [[AUDIENCE]] }, false],
    ['another subject', {}, { sub: 'system:serviceaccount:data:other' }, false],
    ['a subject that goes on', {}, { sub: 'system:serviceaccount:data:ingestion2' }, false],
    ['a subject in capitals', {}, { sub: 'SYSTEM:serviceaccount:data:ingestion' }, false],
    ['no subject', {}, { sub: undefined }, false],
    ['a list of subjects', {}, { sub: ['system:serviceaccount:data:ingestion'] }, false],
    ['a subject that is a star', {}, { sub: '*' }, false],
    ['a prefix', { subject: 'repo:org/*' }, { sub: 'repo:org/one:ref:refs/heads/main' }, true],
    ['nothing after a prefix', { subject: 'repo:org/*' }, { sub: 'repo:org/' }, false],
    ['less than a prefix', { subject: 'repo:org/*' }, { sub: 'repo:org' }, false],
    ['a prefix that stands later', { subject: 'repo:org/*' }, { sub: 'x repo:org/one' }, false],
    ['another owner whose name begins so', { subject: 'repo:org/*' }, { sub: 'repo:org2/one' }, false],
    ['no star without one', { subject: 'repo:org/one' }, { sub: 'repo:org/one*' }, false],
    ['a dot that is no pattern', { subject: 'repo:o.g/*' }, { sub: 'repo:org/one' }, false],
    ['claims', { claims: { env: 'prod', attempt: 1, protected: true } }, { env: 'prod', attempt: 1, protected: true }, true],
    ['claims in words', { claims: { attempt: '1', protected: 'true' } }, { attempt: 1, protected: true }, true],
    ['one claim of two', { claims: { env: 'prod', team: 'data' } }, { env: 'prod' }, false],
    ['a claim with another value', { claims: { env: 'prod' } }, { env: 'production' }, false],
    ['a claim in a list', { claims: { groups: 'data' } }, { groups: ['x', 'data'] }, true],
    ['a claim that is not in a list', { claims: { groups: 'data' } }, { groups: ['x', 'database'] }, false],
    ['an object for a claim', { claims: { env: '[object Object]' } }, { env: {} }, false],
    ['null for a claim', { claims: { env: 'null' } }, { env: null }, false],
    ['a number that is not exact', { claims: { id: '12345678901234567000' } }, { id: 12345678901234567000 }, false],
    ['a claim of no object\'s own', { claims: { constructor: 'Object', toString: 'x' } }, {}, false],
    ['a claim inside another', { claims: { '/kubernetes.io/namespace': 'data' } }, { 'kubernetes.io': { namespace: 'data' } }, true],
    ['a claim inside another, with another value', { claims: { '/kubernetes.io/namespace': 'data' } }, { 'kubernetes.io': { namespace: 'x' }, '/kubernetes.io/namespace': 'data' }, false],
    ['a dot is part of the name', { claims: { 'kubernetes.io.namespace': 'data' } }, { 'kubernetes.io': { namespace: 'data' } }, false]
  ]
  const setting = await serviceTrusting(t, await startPlatform(t))
  for (const [message, changed, changes, met] of cases) {
    await setting.parts.bots.update('ingestion-bot', bot => ({ ...bot, trust: [{ ...setting.rule, ...changed }] }), TEST_EVENT)
    await setting.parts.changes.catchUp()
    const answer = await exchange(setting, await setting.sign(changes))
    if (met) t.equal(answer.statusCode, 200, message)
    else refused(t, answer, 'invalid_grant', /^The subject token meets no trust rule/, message)
  }
})

await t.test('the log tells an honest operator what to mend, and nobody a token', async t => {
  const setting = await serviceTrusting(t, await startPlatform(t), { claims: { env: 'prod' } })
  await setting.bot('second-bot', { enabled: false, trust: [{ ...setting.rule, claims: { env: 'test' } }] })
  const lines: string[] = []
  const app = await buildApp(setting.parts, pino({ level: 'info' }, { write: line => { lines.push(line) } }))
  t.teardown(async () => { await app.close() })
  const logged = async (token: string, more: Record<string, string> = {}): Promise<unknown> => {
    lines.length = 0
    const { statusCode } = await exchange({ ...setting, app }, token, more)
    t.equal(statusCode, 400)
    t.notOk(lines.some(line => line.includes(token.slice(0, 40)) || line.includes(token.split('.')[2] ?? '')), 'no token')
    return JSON.parse(lines[0] ?? '{}') as unknown
  }
  const subject = 'system:serviceaccount:data:ingestion'
  t.match(await logged(await setting.sign({ env: 'test' })), {
    level: 40, issuer: setting.platform.issuer, subject, rules: [{ bot: 'ingestion-bot', claim: 'env', expected: 'prod', found: 'test' }, { bot: 'second-bot', met: /switched off/ }], msg: /none of 2 trust rules/
  })
  t.match(await logged(await setting.sign({ aud: 'x' }), { client_id: 'ingestion-bot' }), { rules: [{ claim: 'aud', expected: AUDIENCE, found: 'x' }], msg: /none of 1 trust rules/ })
  t.match(await logged(await setting.sign(), { client_id: 'nobody' }), { msg: /no bot of that client_id has a trust rule/ })
  t.match(await logged(await setting.sign({ exp: 1 })), { level: 40, subject, msg: /expired/ })
  t.match(await logged(await setting.sign({ iss: 'https://elsewhere.example' })), { level: 30, unverifiedIssuer: 'https://elsewhere.example', msg: /not one of MINTMARK_TRUSTED_ISSUERS/ })
  t.match(await logged(await setting.sign({}, { kid: 'another' })), { level: 40, issuer: setting.platform.issuer, msg: /no key that fits/ })
})

await t.test('while an issuer cannot be reached, it is said that waiting helps', async t => {
  const platform = await startPlatform(t)
  const setting = await serviceTrusting(t, platform)
  await platform.stop()
  const answer = await exchange(setting, await setting.sign())
  refused(t, answer, 'temporarily_unavailable', /issuer cannot be had now/, 'away')
  t.equal(answer.headers['retry-after'], '1')
  t.notMatch(answer.body, /127\.0\.0\.1|ECONN/, 'nothing from inside')
  t.match((await setting.app.inject('/metrics')).body, new RegExp(`mintmark_jwks_fetches_total\\{pool="${platform.issuer}",outcome="failed"\\} 1`))
})
