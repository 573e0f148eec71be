import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { DEMO_MODULUS } from '../../../src/keys/demo-key.ts'
import { askAs } from '../../fakes/asking.ts'
import { LEGACY_ISSUER, legacyServer } from '../../fakes/legacy-server.ts'
import { startService, type Service } from '../../fakes/service.ts'

const DAY = 86_400

interface KeyList { keys: Array<{ kid: string, state: string, origin: string, legacyIssuer: string | null, signsFrom: string | null, verifiesUntil: string, tokens: { issued: number, bots: number, seen?: Array<{ bot: string, tokens: number, lastSeenAt: string }> } }> }

async function verdict (service: Service, token: string, body: object = {}): Promise<Record<string, unknown>> {
  const response = await service.app.inject({ method: 'POST', url: '/verify', payload: { token, ...body } })
  const answer = response.json<{ code?: string, principal?: Record<string, unknown> }>()
  return answer.principal ?? { code: answer.code }
}

await t.test('a legacy key: tokens of an OpenMetadata server verify until its end', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const om = legacyServer(service.clock)
  const pem = om.publicKey.export({ format: 'pem', type: 'spki' }).toString()
  t.match(await verdict(service, await om.token()), { code: 'issuer_unknown' }, 'before')

  const preview = await admin('POST', '/admin/keys/import?dryRun=true', { publicKey: pem, kid: om.kid, issuer: LEGACY_ISSUER })
  t.match({ status: preview.statusCode, body: preview.json<unknown>() }, { status: 200, body: { dryRun: true, kid: om.kid, touches: { liveTokens: 0 } } })
  t.match(await verdict(service, await om.token()), { code: 'issuer_unknown' }, 'a dry run changes nothing')

  const imported = await admin('POST', '/admin/keys/import', { publicKey: pem, kid: om.kid, issuer: LEGACY_ISSUER })
  t.equal(imported.statusCode, 201)
  t.match(imported.json(), { kid: om.kid, state: 'retired', origin: 'imported', legacyIssuer: LEGACY_ISSUER, publishedAt: null, signsFrom: null, verifiesUntil: new Date(service.clock().getTime() + 90 * DAY * 1000).toISOString() })

  await t.test('the principal', async t => {
    t.match(await verdict(service, await om.token()), {
      kind: 'bot',
      name: 'ingestion-bot',
      issuer: LEGACY_ISSUER,
      legacy: true,
      admin: false,
      roles: ['IngestionBotRole'],
      scopes: [],
      audience: [],
      tokenId: null,
      pipeline: null,
      runId: null,
      clientId: null,
      expiresAt: imported.json<{ verifiesUntil: string }>().verifiesUntil
    }, 'exp: null lasts as long as the key')
    const exp = Math.floor(service.clock().getTime() / 1000) + 60
    t.match(await verdict(service, await om.token({ exp, scope: 'admin', aud: service.parts.config.issuer })), { expiresAt: new Date(exp * 1000).toISOString(), scopes: [], admin: false }, 'where there is an exp it holds')
    t.match(await verdict(service, await om.token({ exp: undefined, iat: undefined })), { name: 'ingestion-bot', issuedAt: null })
  })

  await t.test('refusals', async t => {
    t.match(await verdict(service, await om.token({ isBot: false })), { code: 'token_use_mismatch' }, 'tokens for people')
    t.match(await verdict(service, await om.token({ exp: 1 })), { code: 'token_expired' })
    t.match(await verdict(service, await om.token({ exp: 'never' })), { code: 'claim_missing' })
    t.match(await verdict(service, await om.token({ sub: undefined })), { code: 'claim_missing' })
    t.match(await verdict(service, await om.token({}, { typ: 'at+jwt' })), { code: 'type_not_allowed' })
    t.match(await verdict(service, await om.token({}, { kid: 'other' })), { code: 'key_unknown' })
    t.match(await verdict(service, await om.token(), { audience: 'metadata-api' }), { code: 'audience_mismatch' }, 'an audience that the caller names is not met')
    t.match(await verdict(service, await om.token({ iss: service.parts.config.issuer })), { code: 'key_unknown' }, 'its key verifies no token of ours')
    t.match(await verdict(service, await legacyServer(service.clock).token()), { code: 'signature_invalid' })
    t.match((await askAs(service.app, await om.token())('GET', '/admin/keys')).json(), { code: 'audience_mismatch' }, 'no legacy bot administers')
  })

  await t.test('is never published', async t => {
    t.notMatch((await service.app.inject('/.well-known/jwks.json')).body, om.kid)
  })

  await t.test('a bot of its name that exists here lends it its switch and its cutoff', async t => {
    await service.bot('ingestion-bot')
    await admin('PATCH', '/admin/bots/ingestion-bot', { enabled: false })
    t.match(await verdict(service, await om.token()), { code: 'bot_disabled' })
    await admin('PATCH', '/admin/bots/ingestion-bot', { enabled: true })
    const token = await om.token()
    await admin('POST', '/admin/bots/ingestion-bot/revoke-tokens', {})
    t.match(await verdict(service, token), { code: 'token_revoked' })
    service.advance(2)
    t.match(await verdict(service, await om.token()), { legacy: true })
  })

  await t.test('counts who still uses it', async t => {
    service.advance(1)
    await verdict(service, await om.token({ sub: 'profiler-bot' }))
    await service.parts.tokenCounts.flush()
    const key = (await admin('GET', '/admin/keys')).json<KeyList>().keys.find(({ kid }) => kid === om.kid)
    t.equal(key?.tokens.bots, 2)
    t.match(key?.tokens.seen?.[0], { bot: 'profiler-bot', tokens: 1, lastSeenAt: service.clock().toISOString() })
    t.match((await service.app.inject('/metrics')).body, /mintmark_legacy_key_verifies_until_timestamp_seconds\{kid="Gb389a-9f76-gdjs-a92j-0242bk94356"\} \d+/)
    t.match((await service.app.inject('/metrics')).body, /mintmark_verifications_total\{kind="legacy",code="ok"\} \d+/)
  })

  await t.test('a revocation shows beforehand whom it breaks', async t => {
    const dry = (await admin('POST', `/admin/keys/${om.kid}/revoke?dryRun=true`, { reason: 'moved' })).json<Record<string, unknown>>()
    t.match(dry, { dryRun: true, state: 'revoked', touches: { bots: ['profiler-bot', 'ingestion-bot'], lastUsedAt: String } })
    t.match(await verdict(service, await om.token()), { legacy: true }, 'and changes nothing')
    t.equal((await admin('POST', `/admin/keys/${om.kid}/revoke`, { reason: 'moved' })).statusCode, 200)
    t.match(await verdict(service, await om.token()), { code: 'key_revoked' })
    t.match((await admin('POST', `/admin/keys/${om.kid}/revoke`, { reason: 'again' })).json(), { revokedReason: 'moved' })
  })
})

await t.test('a legacy key ends at its date, and no later', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const om = legacyServer(service.clock)
  const verifiesUntil = new Date(service.clock().getTime() + DAY * 1000).toISOString()
  await admin('POST', '/admin/keys/import', { publicKey: om.publicKey.export({ format: 'der', type: 'spki' }).toString('base64'), kid: om.kid, issuer: LEGACY_ISSUER, verifiesUntil })
  const unlimited = await om.token()
  t.match(await verdict(service, unlimited), { legacy: true })
  service.advance(DAY)
  t.match(await verdict(service, unlimited), { code: 'issuer_unknown' })
})

await t.test('a key with its private half joins the ring, and signs next', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const pair = generateKeyPairSync('rsa', { modulusLength: 3_072 })
  const imported = await admin('POST', '/admin/keys/import', { privateKey: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), kid: 'ours-1' })
  t.match({ status: imported.statusCode, body: imported.json<unknown>() }, { status: 201, body: { kid: 'ours-1', state: 'pending', origin: 'imported', size: 3_072, legacyIssuer: null } })
  t.match((await service.app.inject('/.well-known/jwks.json')).body, 'ours-1', 'it is published')
  const { next, effectiveAt } = (await admin('POST', '/admin/keys/rotate', {})).json<{ next: string, effectiveAt: string }>()
  t.equal(next, 'ours-1')
  service.advance((Date.parse(effectiveAt) - service.clock().getTime()) / 1000)
  const client = await service.bot('ingestion-bot')
  const token = await service.token(client)
  t.equal((JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid, 'ours-1')
  t.match(await verdict(service, token), { name: 'ingestion-bot', legacy: false })
  t.equal((await admin('GET', '/admin/keys')).statusCode, 401, 'the admin\'s own token is over by then')
})

await t.test('what is refused, and why', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const pem = (modulusLength: number, publicExponent = 65_537): string => generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey.export({ format: 'pem', type: 'spki' }).toString()
  const faultOf = async (body: object): Promise<unknown> => {
    const response = await admin('POST', '/admin/keys/import', body)
    return response.statusCode === 400 ? response.json<{ errors: unknown[] }>().errors[0] : response.statusCode
  }
  const issuer = LEGACY_ISSUER
  t.match(await faultOf({ publicKey: pem(1_024), issuer }), { field: 'publicKey', message: /1024 bit/ })
  t.match(await faultOf({ publicKey: pem(2_048, 3), issuer }), { message: /exponent 3/ })
  t.match(await faultOf({ publicKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'pem', type: 'spki' }).toString(), issuer }), { message: /not an RSA key/ })
  t.match(await faultOf({ publicKey: 'nonsense', issuer }), { message: /takes a public key/ })
  t.match(await faultOf({ privateKey: 'nonsense' }), { field: 'privateKey' })
  t.match(await faultOf({}), { message: /is missing/ })
  t.match(await faultOf({ publicKey: pem(2_048) }), { field: 'issuer' })
  t.match(await faultOf({ publicKey: pem(2_048), issuer: service.parts.config.issuer }), { field: 'issuer', message: /is ours/ })
  t.match(await faultOf({ publicKey: pem(2_048), issuer, verifiesUntil: '2020-01-01T00:00:00Z' }), { field: 'verifiesUntil' })
  const [one, two] = [generateKeyPairSync('rsa', { modulusLength: 2_048 }), generateKeyPairSync('rsa', { modulusLength: 2_048 })]
  const privatePem = one.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  t.match(await faultOf({ privateKey: privatePem, publicKey: two.publicKey.export({ format: 'pem', type: 'spki' }).toString() }), { message: /does not match/ })
  t.match(await faultOf({ publicKey: privatePem, issuer }), { message: /holds a private key/ })
  const demo = createPublicKey({ key: { kty: 'RSA', n: DEMO_MODULUS, e: 'AQAB' }, format: 'jwk' }).export({ format: 'pem', type: 'spki' }).toString()
  t.match(await faultOf({ publicKey: demo, issuer }), { message: /OpenMetadata ships/ })
  t.equal(await faultOf({ publicKey: pem(2_048), issuer, kid: service.parts.ring.signing()?.kid }), 409, 'a kid that the ring has')
  t.equal(await faultOf({ publicKey: pem(2_048), issuer, kid: 'x' }), 201)
  t.equal(await faultOf({ privateKey: privatePem, kid: 'x' }), 409, 'or that a legacy key has')
  t.notMatch(readFileSync(service.parts.config.databaseUrl.replace('sqlite:', '')).toString('latin1'), 'PRIVATE KEY')

  const trying = await startService(t, { MINTMARK_ALLOW_DEMO_KEYS: 'true' })
  t.equal((await askAs(trying.app, await trying.adminToken())('POST', '/admin/keys/import', { publicKey: demo, issuer })).statusCode, 201, 'but for MINTMARK_ALLOW_DEMO_KEYS')
})
