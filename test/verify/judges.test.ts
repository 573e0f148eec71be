/** Who judges a signature depends on the door. All judges say the same of the same token and key, whatever somebody made of it. */
import { constants, createHash, createSecretKey, generateKeyPairSync, privateEncrypt, sign, type KeyObject } from 'node:crypto'
import fc from 'fast-check'
import Fastify from 'fastify'
import t from 'tap'
import { authenticate, registerJwt } from '../../src/http/judge.ts'
import { toVerificationKey, type VerificationKey } from '../../src/keys/verification-key.ts'
import { judgeByAws } from '../../src/verify/cognito-tokens.ts'
import { judgeByJose } from '../../src/verify/jose-judge.ts'
import type { Principal } from '../../src/verify/principal.ts'
import { judgeInARow, judgeSignature } from '../../src/verify/signature.ts'
import type { SignatureJudge } from '../../src/verify/trusted-issuer.ts'
import type { Verifier } from '../../src/verify/verifier.ts'
import { encodePart } from '../fakes/pool-forge.ts'

interface Pair { privateKey: KeyObject, key: VerificationKey }

function makePair (modulusLength: number, publicExponent = 65537): Pair {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength, publicExponent })
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' })
  return { privateKey, key: toVerificationKey(`rsa-${modulusLength}-${publicExponent}`, { n, e }) }
}

/** What `@fastify/jwt` says at the doors that it judges at, by the very hook of these. */
async function judgeAtAdminDoor (): Promise<SignatureJudge> {
  const app = Fastify()
  await registerJwt(app)
  let asked: { key: VerificationKey, verdict: boolean } | undefined
  const verifier = {
    async verify (token: string, judge: SignatureJudge) {
      if (asked) asked.verdict = await judge(token, asked.key, 'bot')
      return {} as Principal
    }
  } as unknown as Verifier
  app.get('/', async request => await authenticate(request, verifier))
  await app.ready()
  return async (token, key) => {
    asked = { key, verdict: false }
    await app.inject({ url: '/', headers: { authorization: `Bearer ${token}` } })
    return asked.verdict
  }
}

const judges: ReadonlyArray<[name: string, judge: SignatureJudge]> = [
  ['our own', judgeSignature],
  ['our own, in a row', judgeInARow],
  ['jose', judgeByJose],
  ['aws-jwt-verify', judgeByAws],
  ['@fastify/jwt', await judgeAtAdminDoor()]
]

/** @returns what all judges say, or, where they differ, who says what */
async function verdictOf (token: string, key: VerificationKey): Promise<boolean | string> {
  const verdicts = await Promise.all(judges.map(async ([, judge]) => await judge(token, key, 'bot')))
  const [first = false] = verdicts
  return verdicts.every(verdict => verdict === first) ? first : judges.map(([name], place) => `${name}: ${verdicts[place]}`).join(', ')
}

const now = Math.floor(Date.now() / 1000)
const header = { alg: 'RS256', typ: 'JWT', kid: 'k' }
const claims = { iss: 'https://tokens.example.com', sub: 'ingestion-bot', aud: 'metadata-api', iat: now, exp: now + 3600, jti: 'j' }
const pairs = [makePair(2048), makePair(2048, 3), makePair(3072), makePair(4096)]
const [pair = makePair(2048)] = pairs

function inputOf (payload: object = claims): string {
  return `${encodePart(header)}.${encodePart(payload)}`
}

function signed ({ privateKey }: Pair, payload: object = claims): string {
  const input = inputOf(payload)
  return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`
}

await t.test('good signatures, of each size of key and each exponent', async t => {
  for (const each of pairs) t.equal(await verdictOf(signed(each), each.key), true, each.key.kid)
  for (const payload of [{}, { ...claims, name: 'Zoë 漢字 \u{1F600}' }, { ...claims, exp: 1 }, { ...claims, nbf: 9e9 }, { ...claims, aud: { no: 'audience' } }, { ...claims, pad: 'x'.repeat(5000) }]) {
    t.equal(await verdictOf(signed(pair, payload), pair.key), true, 'what it says is no business of theirs')
  }
})

await t.test('the signature of another key', async t => {
  for (const each of pairs) for (const other of pairs) if (each !== other) t.equal(await verdictOf(signed(each), other.key), false, `${each.key.kid} for ${other.key.kid}`)
})

/** RSA over bytes that somebody put together himself. */
function rawSigned (encoded: Buffer): string {
  return `${inputOf()}.${privateEncrypt({ key: pair.privateKey, padding: constants.RSA_NO_PADDING }, encoded).toString('base64url')}`
}

const DIGEST_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex')

/** EMSA-PKCS1-v1_5 (RFC 8017 9.2), or what somebody would like to pass for it. */
function encoded ({ digestInfo = DIGEST_INFO, digest = createHash('sha256').update(inputOf()).digest(), start = Buffer.from([0, 1]), padding = 0xff, end = Buffer.alloc(0) }: { digestInfo?: Buffer, digest?: Buffer, start?: Buffer, padding?: number, end?: Buffer } = {}): Buffer {
  const rest = Buffer.concat([Buffer.from([0]), digestInfo, digest, end])
  return Buffer.concat([start, Buffer.alloc(256 - start.length - rest.length, padding), rest])
}

await t.test('paddings and digests that are not those of RS256', async t => {
  t.equal(await verdictOf(rawSigned(encoded()), pair.key), true, 'put together by hand as RFC 8017 has it')
  const forgeries: Record<string, Buffer> = {
    'garbage after the digest, and less padding (Bleichenbacher 2006)': Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(8, 0xff), Buffer.from([0]), DIGEST_INFO, createHash('sha256').update(inputOf()).digest(), Buffer.alloc(256 - 2 - 8 - 1 - 51, 7)]),
    'one byte after the digest': encoded({ end: Buffer.from([0]) }),
    'block type 2': encoded({ start: Buffer.from([0, 2]) }),
    'padding of another byte': encoded({ padding: 0xfe }),
    'no NULL in the algorithm': encoded({ digestInfo: Buffer.from('302f300b06096086480165030402010420', 'hex') }),
    'no algorithm at all': encoded({ digestInfo: Buffer.alloc(0) }),
    'SHA-512': encoded({ digestInfo: Buffer.from('3051300d060960864801650304020305000440', 'hex'), digest: createHash('sha512').update(inputOf()).digest() }),
    'SHA-1': encoded({ digestInfo: Buffer.from('3021300906052b0e03021a05000414', 'hex'), digest: createHash('sha1').update(inputOf()).digest() }),
    'the digest of something else': encoded({ digest: createHash('sha256').update('something else').digest() })
  }
  for (const [name, bytes] of Object.entries(forgeries)) t.equal(await verdictOf(rawSigned(bytes), pair.key), false, name)
  const pss = sign('sha256', Buffer.from(inputOf()), { key: pair.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })
  t.equal(await verdictOf(`${inputOf()}.${pss.toString('base64url')}`, pair.key), false, 'PSS')
})

await t.test('the same number written in another way', async t => {
  const good = signed(pair)
  const signature = Buffer.from(good.split('.')[2] ?? '', 'base64url')
  const modulus = BigInt(`0x${Buffer.from(pair.key.jwk.n, 'base64url').toString('hex')}`)
  const plusModulus = (BigInt(`0x${signature.toString('hex')}`) + modulus).toString(16)
  for (const other of [Buffer.concat([Buffer.alloc(1), signature]), Buffer.concat([signature, Buffer.alloc(1)]), Buffer.from(plusModulus.padStart(plusModulus.length + plusModulus.length % 2, '0'), 'hex'), signature.subarray(1), Buffer.alloc(256), Buffer.alloc(256, 255), Buffer.alloc(1)]) {
    t.equal(await verdictOf(`${inputOf()}.${other.toString('base64url')}`, pair.key), false)
  }
})

await t.test('whatever is changed, in whichever part', async t => {
  const good = signed(pair).split('.').map(part => Buffer.from(part, 'base64url'))
  const change = fc.record({ part: fc.constantFrom(0, 1, 2), place: fc.nat(), by: fc.integer({ min: 1, max: 255 }) })
  await fc.assert(fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async changes => {
    const parts = good.map(part => Buffer.from(part))
    for (const { part, place, by } of changes) {
      const bytes = parts[part] ?? Buffer.alloc(1)
      bytes[place % bytes.length] = (bytes[place % bytes.length] ?? 0) ^ by
    }
    const isChanged = parts.some((part, place) => !part.equals(good[place] ?? part))
    t.equal(await verdictOf(parts.map(part => part.toString('base64url')).join('.'), pair.key), !isChanged)
  }), { numRuns: 500 })
})

await t.test('tokens that came together are judged in a row, each by itself, and after what else has come', async t => {
  const good = signed(pair)
  let isJudged = false
  const row = Promise.allSettled([
    judgeInARow(good, pair.key).finally(() => { isJudged = true }),
    judgeInARow(good, { ...pair.key, keyObject: createSecretKey(Buffer.alloc(32)) }),
    judgeInARow(`${good.slice(0, -8)}AAAAAAAA`, pair.key),
    judgeInARow(good, makePair(2048).key),
    judgeInARow(signed(pair, { ...claims, jti: 'another' }), pair.key)
  ])
  await new Promise(resolve => { process.nextTick(resolve) })
  t.notOk(isJudged, 'what is read in the same turn comes first')
  t.same((await row).map(judged => judged.status === 'fulfilled' ? judged.value : judged.status), [true, 'rejected', false, false, true])
  t.equal(await judgeInARow(good, pair.key), true, 'and the next turn has its own row')
})

await t.test('a host whose tests stop the timers gets its verdicts all the same', async t => {
  t.intercept(globalThis, 'setImmediate', { value: () => { /* it never comes */ } })
  t.equal(await judgeInARow(signed(pair), pair.key), true)
})
