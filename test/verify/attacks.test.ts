/** Tokens that someone has tampered with, at every door: each gets its own code, none gets in, none breaks anything. */
import { generateKeyPairSync, sign as signWithKey, constants } from 'node:crypto'
import { exportJWK } from 'jose'
import t from 'tap'
import { createJwks } from '../../src/keys/jwks.ts'
import type { VerifyCode } from '../../src/verify/errors.ts'
import { judgeByJose } from '../../src/verify/jose-judge.ts'
import { movableClock } from '../fakes/clock.ts'
import { ask, faultsOfRefusal, verifyInBody, verifyInHeader, type Answer } from '../fakes/pool-answers.ts'
import { encodePart, forge, hs256, openToken, realSigner, rs256, without, type Content, type Signer } from '../fakes/pool-forge.ts'
import { startPool } from '../fakes/pool.ts'
import { startService } from '../fakes/service.ts'

const time = movableClock()
const pool = await startPool(t, time.clock)
const service = await startService(t, pool.settings, time)
const { app } = service
const now = Math.floor(time.clock().getTime() / 1000)

/** Good at every door: the others are variations of it. */
const good = await service.adminToken()
const { header, payload, parts: [headerPart, payloadPart, signaturePart] } = openToken(good)
const sign = realSigner(service)
const signingKey = service.parts.ring.signing()
const ownKid = String(header.kid)
const jwks = JSON.parse(createJwks(service.parts.ring, time.clock)().body.toString()) as { keys: object[] }
const found = service.parts.ring.find(service.parts.config.issuer, ownKid)
if (!signingKey || found.found !== 'key') throw new Error('no key signs')
const { pem } = found.key

const attacker = generateKeyPairSync('rsa', { modulusLength: 2048 })
const attackerJwk = { ...await exportJWK(attacker.publicKey), kid: ownKid, use: 'sig', alg: 'RS256' }
const byAttacker: Signer = rs256(attacker.privateKey)
/** RSA-PSS and SHA-512 with the real signing key cannot be had from the vault; a key of the right kind will do, since alg comes first. */
const ps256: Signer = input => signWithKey('sha256', input, { key: attacker.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })
const rs512: Signer = input => signWithKey('sha512', input, attacker.privateKey)

const claims = async (changes: object, ...left: string[]): Promise<string> => await forge(header, { ...without(payload, ...left), ...changes }, sign)
const headed = async (changes: object, signer: Signer = sign, ...left: string[]): Promise<string> => await forge({ ...without(header, ...left), ...changes }, payload, signer)
const raw = async (headerContent: Content, payloadContent: Content): Promise<string> => await forge(headerContent, payloadContent, sign)
const json = JSON.stringify

/** The same bits, but for the unused ones of the last character. */
function withTrailingBits (part: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const bytes = Buffer.from(part, 'base64url')
  for (const last of alphabet) {
    const other = part.slice(0, -1) + last
    if (other !== part && Buffer.from(other, 'base64url').equals(bytes)) return other
  }
  throw new Error('this part has no unused bits')
}

/** A payload whose part has unused bits in its last character. */
async function signedWithUnusedBits (): Promise<string> {
  for (let pad = 'x'; ; pad += 'x') if (encodePart({ ...payload, pad }).length % 4 !== 0) return await claims({ pad })
}
const [unusedHeader = '', unusedPayload = '', unusedSignature = ''] = (await signedWithUnusedBits()).split('.')

const deep = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`
const large = await claims({ pad: 'x'.repeat(8 * 1024) })

/** 2,048 bits leave unused bits in the signature's last character: it has 342 of them. */
t.equal(signaturePart.length, 342)

const attacks: Array<[name: string, token: string | Promise<string>, code: VerifyCode]> = [
  // algorithms
  ['alg none, no signature', `${encodePart({ ...header, alg: 'none' })}.${payloadPart}.`, 'token_malformed'],
  ['alg none, some signature', `${encodePart({ ...header, alg: 'none' })}.${payloadPart}.${signaturePart}`, 'algorithm_not_allowed'],
  ['alg nOnE', headed({ alg: 'nOnE' }), 'algorithm_not_allowed'],
  ['alg HS256 with our public PEM', headed({ alg: 'HS256' }, hs256(pem)), 'algorithm_not_allowed'],
  ['alg HS256 with our modulus', headed({ alg: 'HS256' }, hs256(signingKey.publicKey.n)), 'algorithm_not_allowed'],
  ['alg HS256 with our JWK', headed({ alg: 'HS256' }, hs256(json(jwks.keys[0]))), 'algorithm_not_allowed'],
  ['alg HS256 with nothing', headed({ alg: 'HS256' }, hs256('')), 'algorithm_not_allowed'],
  ['alg RS256 in words, HS256 in deed', headed({}, hs256(pem)), 'signature_invalid'],
  ['alg RS512', headed({ alg: 'RS512' }, rs512), 'algorithm_not_allowed'],
  ['alg PS256', headed({ alg: 'PS256' }, ps256), 'algorithm_not_allowed'],
  ['alg rs256', headed({ alg: 'rs256' }), 'algorithm_not_allowed'],
  ['alg RS256 with a blank', headed({ alg: 'RS256 ' }), 'algorithm_not_allowed'],
  ['alg as a list', headed({ alg: ['RS256'] }), 'algorithm_not_allowed'],
  ['alg null', headed({ alg: null }), 'algorithm_not_allowed'],
  ['no alg', headed({}, sign, 'alg'), 'algorithm_not_allowed'],

  // keys from the token itself
  ['jwk of the attacker', headed({ jwk: attackerJwk }, byAttacker), 'signature_invalid'],
  ['jku of the attacker', headed({ jku: `${pool.issuer}/.well-known/jwks.json` }, byAttacker), 'signature_invalid'],
  ['x5u of the attacker', headed({ x5u: `${pool.issuer}/cert.pem` }, byAttacker), 'signature_invalid'],
  ['x5c of the attacker', headed({ x5c: [attacker.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')] }, byAttacker), 'signature_invalid'],
  ['jwk and its own kid', headed({ jwk: { ...attackerJwk, kid: 'mine' }, kid: 'mine' }, byAttacker), 'key_unknown'],

  // kids
  ['no kid', headed({}, sign, 'kid'), 'key_unknown'],
  ['empty kid', headed({ kid: '' }), 'key_unknown'],
  ['kid as a number', headed({ kid: 7 }), 'key_unknown'],
  ['kid as a list', headed({ kid: [ownKid] }), 'key_unknown'],
  ['kid as SQL', headed({ kid: `${ownKid}' or '1'='1` }), 'key_unknown'],
  ['kid as a path', headed({ kid: '../../../dev/null' }), 'key_unknown'],
  ['kid __proto__', headed({ kid: '__proto__' }), 'key_unknown'],
  ['kid constructor', headed({ kid: 'constructor' }), 'key_unknown'],
  ['kid of the pending key', headed({ kid: service.parts.ring.all().find(key => key.kid !== ownKid)?.kid }), 'signature_invalid'],

  // keys of another issuer
  ['our issuer, a pool\'s key and kid', forge({ ...header, kid: pool.key().kid }, payload, rs256(pool.key().privateKey)), 'key_unknown'],
  ['our issuer and kid, a pool\'s key', forge(header, payload, rs256(pool.key().privateKey)), 'signature_invalid'],
  ['a pool\'s issuer, our key and kid', claims({ iss: pool.issuer }), 'key_unknown'],
  ['a pool\'s issuer and kid, our key', forge({ ...header, kid: pool.key().kid }, { ...payload, iss: pool.issuer }, sign), 'signature_invalid'],

  // issuers
  ['no iss', claims({}, 'iss'), 'claim_missing'],
  ['iss as a list', claims({ iss: [payload.iss] }), 'claim_missing'],
  ['iss null', claims({ iss: null }), 'claim_missing'],
  ['unheard-of iss', claims({ iss: 'https://evil.example' }), 'issuer_unknown'],
  ['iss with a slash', claims({ iss: `${String(payload.iss)}/` }), 'issuer_unknown'],
  ['iss __proto__', claims({ iss: '__proto__' }), 'issuer_unknown'],
  ['empty iss', claims({ iss: '' }), 'issuer_unknown'],

  // forms of base64url
  ['padded signature', `${good}==`, 'token_malformed'],
  ['padded header', `${headerPart}=.${payloadPart}.${signaturePart}`, 'token_malformed'],
  ['unused bits in the signature', `${unusedHeader}.${unusedPayload}.${withTrailingBits(unusedSignature)}`, 'token_malformed'],
  ['unused bits in the payload', `${unusedHeader}.${withTrailingBits(unusedPayload)}.${unusedSignature}`, 'token_malformed'],
  ['base64 in place of base64url', raw(header, { ...payload, pad: '????>>>>' }).then(token => token.split('.').map(part => part.replaceAll('-', '+').replaceAll('_', '/')).join('.')), 'token_malformed'],
  ['a character of no alphabet', `${headerPart}.${payloadPart}.${signaturePart.slice(0, -1)}!`, 'token_malformed'],
  ['a letter that only looks like one', `${headerPart}.${payloadPart}.${signaturePart.slice(0, -1)}А`, 'token_malformed'],

  // parts
  ['one part', headerPart, 'token_malformed'],
  ['two parts', `${headerPart}.${payloadPart}`, 'token_malformed'],
  ['four parts', `${good}.${signaturePart}`, 'token_malformed'],
  ['five parts, as a JWE has', `${headerPart}.${payloadPart}.${signaturePart}.AAAA.AAAA`, 'token_malformed'],
  ['a dot more', `${good}.`, 'token_malformed'],
  ['a dot before', `.${good}`, 'token_malformed'],
  ['no header', `.${payloadPart}.${signaturePart}`, 'token_malformed'],
  ['no payload', `${headerPart}..${signaturePart}`, 'token_malformed'],
  ['no signature', `${headerPart}.${payloadPart}.`, 'token_malformed'],
  ['dots', '..', 'token_malformed'],
  ['a word', 'null', 'token_malformed'],
  ['a lengthy run of dots', '.'.repeat(8000), 'token_malformed'],

  // what the parts hold
  ['crit', headed({ crit: ['exp'], exp: 1 }), 'token_malformed'],
  ['empty crit', headed({ crit: [] }), 'token_malformed'],
  ['crit null', headed({ crit: null }), 'token_malformed'],
  ['crit b64', headed({ crit: ['b64'], b64: true }), 'token_malformed'],
  ['header a list', raw([header], payload), 'token_malformed'],
  ['header null', raw('null', payload), 'token_malformed'],
  ['header a string', raw('"RS256"', payload), 'token_malformed'],
  ['header a number', raw('7', payload), 'token_malformed'],
  ['header no JSON', raw('{alg:RS256}', payload), 'token_malformed'],
  ['payload a list', raw(header, [payload]), 'token_malformed'],
  ['payload null', raw(header, 'null'), 'token_malformed'],
  ['payload a string', raw(header, json(json(payload))), 'token_malformed'],
  ['payload no JSON', raw(header, `${json(payload)},`), 'token_malformed'],
  ['payload deep in lists', raw(header, deep(2500)), 'token_malformed'],
  ['header deep in lists', raw(deep(2000), payload), 'token_malformed'],
  ['payload never closed', raw(header, '{"a":'.repeat(900)), 'token_malformed'],
  ['payload of invalid UTF-8', raw(header, Buffer.concat([Buffer.from('{"x":"'), Buffer.from([0xff, 0xfe]), Buffer.from(`",${json(payload).slice(1)}`)])), 'token_malformed'],
  ['header of invalid UTF-8', raw(Buffer.concat([Buffer.from('{"x":"'), Buffer.from([0xc0, 0xaf]), Buffer.from(`",${json(header).slice(1)}`)]), payload), 'token_malformed'],
  ['payload with a byte order mark', raw(header, `\uFEFF${json(payload)}`), 'token_malformed'],
  ['payload in UTF-16', raw(header, Buffer.from(json(payload), 'utf16le')), 'token_malformed'],

  // size
  ['larger than 8 KiB', large, 'token_too_large'],
  ['larger than 8 KiB, and nonsense', 'A'.repeat(8193), 'token_too_large'],
  ['larger than 8 KiB in bytes alone', 'é'.repeat(4097), 'token_too_large'],

  // signatures
  ['of an attacker\'s key', headed({}, byAttacker), 'signature_invalid'],
  ['of one byte', `${headerPart}.${payloadPart}.AA`, 'signature_invalid'],
  ['of nothing but zeroes', `${headerPart}.${payloadPart}.${Buffer.alloc(256).toString('base64url')}`, 'signature_invalid'],
  ['with a zero byte before it', `${headerPart}.${payloadPart}.${Buffer.concat([Buffer.alloc(1), Buffer.from(signaturePart, 'base64url')]).toString('base64url')}`, 'signature_invalid'],
  ['with a byte after it', `${headerPart}.${payloadPart}.${Buffer.concat([Buffer.from(signaturePart, 'base64url'), Buffer.alloc(1)]).toString('base64url')}`, 'signature_invalid'],
  ['of another payload', `${headerPart}.${encodePart({ ...payload, sub: 'somebody' })}.${signaturePart}`, 'signature_invalid'],
  ['of another header', `${encodePart({ ...header, typ: 'JWT' })}.${payloadPart}.${signaturePart}`, 'signature_invalid'],

  // types
  ['typ of an id token', headed({ typ: 'id+jwt' }), 'type_not_allowed'],
  ['typ of our revocation feed', headed({ typ: 'revocations+jwt' }), 'type_not_allowed'],
  ['no typ', headed({}, sign, 'typ'), 'type_not_allowed'],
  ['empty typ', headed({ typ: '' }), 'type_not_allowed'],
  ['typ null', headed({ typ: null }), 'type_not_allowed'],
  ['typ as a list', headed({ typ: ['at+jwt'] }), 'type_not_allowed'],

  // times
  ['no exp', claims({}, 'exp'), 'claim_missing'],
  ['exp as text', claims({ exp: String(payload.exp) }), 'claim_missing'],
  ['exp null', claims({ exp: null }), 'claim_missing'],
  ['exp for ever', raw(header, json(payload).replace(/"exp":\d+/, '"exp":1e400')), 'claim_missing'],
  ['exp over', claims({ exp: now - 6 }), 'token_expired'],
  ['exp over by the tolerance', claims({ exp: now - 5 }), 'token_expired'],
  ['exp long over', claims({ exp: -1e308 }), 'token_expired'],
  ['exp and a later one: the last one counts', raw(header, json(payload).replace(/"exp":\d+/, `"exp":${now + 60},"exp":${now - 60}`)), 'token_expired'],
  ['no iat', claims({}, 'iat'), 'claim_missing'],
  ['iat as text', claims({ iat: String(now) }), 'claim_missing'],
  ['iat ahead', claims({ iat: now + 6 }), 'token_not_yet_valid'],
  ['nbf ahead', claims({ nbf: now + 6 }), 'token_not_yet_valid'],
  ['nbf as text', claims({ nbf: String(now) }), 'claim_missing'],
  ['nbf null', claims({ nbf: null }), 'claim_missing'],

  // claims
  ['no aud', claims({}, 'aud'), 'claim_missing'],
  ['aud null', claims({ aud: null }), 'claim_missing'],
  ['aud empty', claims({ aud: [] }), 'claim_missing'],
  ['aud as an object', claims({ aud: { 'metadata-api': true } }), 'claim_missing'],
  ['aud of others', claims({ aud: ['somebody'] }), 'audience_mismatch'],
  ['aud in another case', claims({ aud: ['Metadata-API', String(payload.iss).toUpperCase()] }), 'audience_mismatch'],
  ['no sub', claims({}, 'sub'), 'claim_missing'],
  ['sub as a number', claims({ sub: 7 }), 'claim_missing'],
  ['no client_id', claims({}, 'client_id'), 'claim_missing'],
  ['no jti', claims({}, 'jti'), 'claim_missing'],
  ['jti as a number', claims({ jti: 7 }), 'claim_missing'],
  ['empty jti', claims({ jti: '' }), 'claim_missing'],
  ['isBot false', claims({ isBot: false }), 'token_use_mismatch'],
  ['isBot as text', claims({ isBot: 'true' }), 'token_use_mismatch'],
  ['no isBot', claims({}, 'isBot'), 'token_use_mismatch'],
  ['tokenType of a person', claims({ tokenType: 'PERSONAL_ACCESS' }), 'token_use_mismatch'],
  ['no tokenType', claims({}, 'tokenType'), 'token_use_mismatch'],
  ['claims of a Cognito user', claims({ token_use: 'access', username: 'alice' }, 'isBot', 'tokenType'), 'token_use_mismatch']
]

async function atAdminDoor (token: string): Promise<Answer> {
  return await ask(app, { url: '/admin/keys', headers: { authorization: `Bearer ${token}` } })
}

await t.test('the token that the others vary is good at each door', async t => {
  t.equal((await verifyInHeader(app, good)).status, 200)
  t.equal((await verifyInBody(app, good)).status, 200)
  t.equal((await atAdminDoor(good)).status, 200)
  t.equal((await verifyInBody(app, await claims({}))).status, 200, 'and so is one that is forged with the real key')
})

for (const [name, made, code] of attacks) {
  await t.test(name, async t => {
    const token = await made
    t.strictSame(faultsOfRefusal(await verifyInBody(app, token), code), [], 'in the body')
    t.strictSame(faultsOfRefusal(await verifyInHeader(app, token), code), [], 'in the header')
    t.strictSame(faultsOfRefusal(await atAdminDoor(token), code), [], 'at the admin API')
  })
}

await t.test('nothing was fetched from where a token points', async t => {
  await pool.idToken().then(async token => await verifyInHeader(app, token))
  const before = pool.fetches()
  await verifyInHeader(app, await headed({ jku: `${pool.issuer}/.well-known/jwks.json` }, byAttacker))
  t.equal(pool.fetches(), before)
})

await t.test('blanks around a token', async t => {
  for (const token of [` ${good}`, `${good} `, `${good}\n`, `${good.slice(0, 50)}\n${good.slice(50)}`, `\t${good}`, ' ', '\n', `${good}\u0000`]) {
    t.strictSame(faultsOfRefusal(await verifyInBody(app, token), 'token_malformed'), [], json(token.slice(0, 8)))
  }
  for (const token of [`${good} x`, `${good}\t`, `${good.slice(0, 50)} ${good.slice(50)}`]) {
    t.strictSame(faultsOfRefusal(await verifyInHeader(app, token), 'request_invalid'), [], 'a header has its own form')
    t.strictSame(faultsOfRefusal(await atAdminDoor(token), 'request_invalid'), [])
  }
  t.strictSame(faultsOfRefusal(await verifyInHeader(app, ''), 'request_invalid'), [], 'the scheme alone')
  t.strictSame(faultsOfRefusal(await verifyInBody(app, ''), 'token_missing'), [], 'an empty one')
})

await t.test('what is odd, but good', async t => {
  const accepted: Array<[string, string]> = [
    ['typ application/at+jwt', await headed({ typ: 'application/at+jwt' })],
    ['typ AT+JWT', await headed({ typ: 'AT+JWT' })],
    ['typ JWT', await headed({ typ: 'JWT' })],
    ['exp over within the tolerance', await claims({ exp: now - 4 })],
    ['iat ahead within the tolerance', await claims({ iat: now + 5 })],
    ['times that are no whole numbers', await claims({ exp: now + 0.5, iat: now - 0.5 })],
    ['a claim of 1,000 lists within lists', await raw(header, `{"deep":${deep(1000)},${json(payload).slice(1)}`)],
    ['a claim __proto__', await raw(header, `{"__proto__":{"isBot":false},${json(payload).slice(1)}`)],
    ['an alg before the alg: the last one counts', await raw(`{"alg":"none",${json(header).slice(1)}`, payload)],
    ['blanks in the JSON', await raw(json(header, null, 2), json(payload, null, 2))],
    ['a key in the header', await headed({ jwk: attackerJwk })]
  ]
  for (const [name, token] of accepted) {
    t.equal((await verifyInBody(app, token)).status, 200, `${name}, in the body`)
    t.equal((await verifyInHeader(app, token)).status, 200, `${name}, in the header`)
    await service.parts.verifier.verify(token, judgeByJose)
  }
  t.notOk((await verifyInBody(app, await raw(header, json(payload).replace(/"scope":"admin"/, '"scope":"admin","scope":"other"')))).body.principal?.admin, 'the last of two scopes counts')
})

await t.test('a token may have 8 KiB, and no more', async t => {
  const room = 8 * 1024 - good.length
  const lengths = new Map<number, string>()
  for (let pad = Math.floor(room * 3 / 4) - 30; pad < room * 3 / 4; pad++) {
    const token = await claims({ pad: 'x'.repeat(pad) })
    lengths.set(token.length, token)
  }
  const largest = Math.max(...[...lengths.keys()].filter(length => length <= 8192))
  t.ok(largest > 8188)
  t.equal((await verifyInBody(app, lengths.get(largest) ?? '')).status, 200)
})

await t.test('thousands of mutations: nothing is accepted but the original, and both judges agree', async t => {
  const another = await service.token(await service.bot('another-bot'))
  const user = await pool.idToken()
  const originals = new Set([good, another, user])
  const random = generatorOf(20261122)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const at = (text: string): number => Math.floor(random() * text.length)
  const replaceAt = (text: string, place: number, by: string, length = 1): string => text.slice(0, place) + by + text.slice(place + length)
  const alphabet = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')

  const onPart = (token: string, change: (part: string) => string): string => {
    const parts = token.split('.')
    const place = Math.floor(random() * parts.length)
    return parts.map((part, index) => index === place ? change(part) : part).join('.')
  }
  const flipByte = (part: string): string => {
    const bytes = Buffer.from(part, 'base64url')
    const place = Math.floor(random() * bytes.length)
    bytes[place] = (bytes[place] ?? 0) ^ (1 << Math.floor(random() * 8))
    return bytes.toString('base64url')
  }
  const mutations: Array<(token: string) => string> = [
    token => onPart(token, flipByte),
    token => onPart(token, flipByte),
    token => replaceAt(token, at(token), pick(alphabet)),
    token => replaceAt(token, at(token), pick(Array.from('.=+/ \n\u0000"é'))),
    token => replaceAt(token, at(token), ''),
    token => replaceAt(token, at(token), pick(alphabet), 0),
    token => token.slice(0, at(token)),
    token => token.slice(at(token)),
    token => { const others = [...originals].map(other => other.split('.')); return [0, 1, 2].map(part => pick(others)[part] ?? '').join('.') + (random() < 0.1 ? token.slice(0, 3) : '') },
    token => onPart(token, part => part + part),
    token => { const [a = '', b = '', c = ''] = token.split('.'); return pick([[b, a, c], [c, b, a], [a, c, b], [a, b], [a, b, c, c]]).join('.') },
    token => { const [a = '', b = '', c = ''] = token.split('.'); return `${encodePart({ ...openToken(token).header, [pick(['alg', 'kid', 'typ', 'crit', 'x'])]: pick(['none', 'HS256', '', 7, null, [], ownKid]) })}.${b}.${a === '' ? a : c}` },
    token => { const [a = '', , c = ''] = token.split('.'); return `${a}.${encodePart({ ...openToken(token).payload, [pick(['iss', 'sub', 'aud', 'exp', 'scope', 'jti'])]: pick(['admin', pool.issuer, '', 7, null, [], 9e9]) })}.${c}` }
  ]

  async function verdictOf (token: string): Promise<string> {
    try {
      await service.parts.verifier.verify(token, judgeByJose)
      return 'good'
    } catch (error) {
      return (error as { code?: string }).code ?? String(error)
    }
  }

  const startedAt = performance.now()
  let tried = 0
  const wrong: string[] = []
  const codes = new Map<string, number>()
  while (tried < 3000 && performance.now() - startedAt < 8000) {
    const token = pick(mutations)(pick([...originals]))
    if (originals.has(token)) continue
    tried++
    const [here, there] = [await verifyInBody(app, token), await verdictOf(token)]
    const verdict = here.status === 200 ? 'good' : here.code ?? String(here.status)
    codes.set(verdict, (codes.get(verdict) ?? 0) + 1)
    if (verdict === 'good' || verdict !== there || ![400, 401].includes(here.status)) wrong.push(`${verdict} here, ${there} there: ${token}`)
  }
  t.strictSame(wrong, [])
  t.ok(tried > 1000, `${tried} were tried`)
  for (const code of ['token_malformed', 'signature_invalid', 'algorithm_not_allowed', 'key_unknown', 'issuer_unknown', 'token_missing']) t.ok(codes.has(code), `${code} was met`)
  for (const token of originals) {
    t.equal((await verifyInBody(app, token)).status, 200, 'the originals are good still')
    t.equal(await verdictOf(token), 'good')
  }
})

/** Reproducible numbers from 0 up to 1 (mulberry32). */
function generatorOf (seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6D2B79F5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
