/** `private_key_jwt` as a client, against the real service: keys of every kind, in every form. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { privateKeyJwt, readSigningKey } from '../../src/agent/private-key-jwt.ts'
import type { ClientKey } from '../../src/bots/bot.ts'
import { startTokenSource, type TokenSource } from '../../src/client/token-source.ts'
import { openToken } from '../fakes/pool-forge.ts'
import { startService, temporaryFolder, TEST_EVENT, type Service } from '../fakes/service.ts'

interface Pair { privateKey: KeyObject, publicKey: KeyObject }

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
const P256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ED25519 = generateKeyPairSync('ed25519')
const pem = (key: KeyObject, type: 'pkcs8' | 'pkcs1' | 'sec1' = 'pkcs8'): string => key.export({ format: 'pem', type } as { format: 'pem', type: 'pkcs8' }) as string
const jwk = (key: KeyObject, more: object = {}): string => JSON.stringify({ ...key.export({ format: 'jwk' }), ...more })

async function startTown (t: Test): Promise<{ service: Service, url: string, register: (...keys: object[]) => Promise<void> }> {
  // Reached by another address than it goes by.
  const service = await startService(t, { MINTMARK_PUBLIC_URL: 'https://tokens.example.com' })
  await service.bot('ingestion-bot')
  return {
    service,
    url: await service.app.listen({ port: 0, host: '127.0.0.1' }),
    async register (...keys) {
      await service.parts.bots.update('ingestion-bot', bot => ({ ...bot, jwks: keys as ClientKey[] }), TEST_EVENT)
      await service.parts.afterChange('ingestion-bot')
    }
  }
}

function sourceBy (file: string, url: string, { clock }: Pick<Service, 'clock'>, kid?: string): TokenSource {
  return startTokenSource({ url, credential: privateKeyJwt({ clientId: 'ingestion-bot', file, kid, url, clock, fetch, signal: undefined }), patienceSeconds: 0 })
}

await t.test('RSA, P-256 and Ed25519, as PEM and as JWK', async t => {
  const { service, url, register } = await startTown(t)
  const file = join(temporaryFolder(t), 'key')
  const ways: Array<[name: string, pair: Pair, text: string, kid?: string]> = [
    ['RSA, PKCS#8', RSA, pem(RSA.privateKey)],
    ['RSA, PKCS#1', RSA, pem(RSA.privateKey, 'pkcs1')],
    ['RSA, JWK for PS256', RSA, jwk(RSA.privateKey, { alg: 'PS256' })],
    ['P-256, SEC1', P256, pem(P256.privateKey, 'sec1')],
    ['P-256, JWK with a kid', P256, jwk(P256.privateKey, { kid: 'theirs' }), 'theirs'],
    ['Ed25519, PKCS#8', ED25519, pem(ED25519.privateKey)],
    ['Ed25519, JWK', ED25519, jwk(ED25519.privateKey)]
  ]
  for (const [name, { publicKey }, text, kid] of ways) {
    await register({ ...publicKey.export({ format: 'jwk' }), ...(kid !== undefined && { kid }) })
    writeFileSync(file, text)
    t.match(openToken((await sourceBy(file, url, service).renew()).token).payload, { sub: 'ingestion-bot' }, name)
  }
})

await t.test('a key that is rotated: several side by side, the file read anew, an assertion for each request', async t => {
  const { service, url, register } = await startTown(t)
  const file = join(temporaryFolder(t), 'key')
  const second = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await register({ ...P256.publicKey.export({ format: 'jwk' }), kid: 'one' }, { ...second.publicKey.export({ format: 'jwk' }), kid: 'two' })
  writeFileSync(file, jwk(P256.privateKey, { kid: 'one' }))
  const source = sourceBy(file, url, service)
  await source.renew()
  await source.renew()
  await register({ ...second.publicKey.export({ format: 'jwk' }), kid: 'two' })
  await t.rejects(source.renew(), { code: 'invalid_client' })
  writeFileSync(file, jwk(second.privateKey, { kid: 'two' }))
  await source.renew()

  writeFileSync(file, pem(second.privateKey))
  await t.resolves(sourceBy(file, url, service, 'two').renew(), 'a kid beside a PEM')
  await t.rejects(sourceBy(file, url, service, 'one').renew(), { code: 'invalid_client' })
})

await t.test('what cannot be used is said with its file', async t => {
  const encrypted = P256.privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'secret' })
  const wrong: Array<[text: string, why: RegExp]> = [
    ['nonsense', /holds no private key/],
    ['{nonsense', /neither PEM nor a JWK/],
    [jwk(P256.publicKey), /no private key: its JWK has no d/],
    [JSON.stringify({ keys: [] }), /is a set of keys/],
    [P256.publicKey.export({ format: 'pem', type: 'spki' }) as string, /holds no private key/],
    [encrypted as string, /is encrypted/],
    [pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey), /from 2048 bit/],
    [pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey), /P-256/]
  ]
  for (const [text, why] of wrong) t.throws(() => readSigningKey(text, '/run/key.pem'), { message: why }, String(why))
  for (const [text] of wrong) t.throws(() => readSigningKey(text, '/run/key.pem'), { message: /^--key: \/run\/key\.pem / })
})

await t.test('an address that is no service\'s', async t => {
  const { service, url } = await startTown(t)
  const file = join(temporaryFolder(t), 'key')
  writeFileSync(file, pem(P256.privateKey))
  await t.rejects(sourceBy(file, `${url}/elsewhere`, service).renew(), { code: 'unexpected_answer', message: /names no issuer: is .* the address of the service\?/ })
  await t.rejects(sourceBy(file, 'http://127.0.0.1:1', service).renew(), { name: 'TokenUnavailable' })
})
