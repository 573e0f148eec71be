import { createPublicKey, randomBytes, verify } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import t from 'tap'
import { createLocalVault, MasterKeyError } from '../../src/keys/local-vault.ts'
import type { NewKey } from '../../src/keys/rotation-plan.ts'
import type { SigningKey } from '../../src/keys/signing-key.ts'
import { freshRing, keyIn } from '../fakes/memory-rings.ts'

const [first, second, stranger] = [randomBytes(32), randomBytes(32), randomBytes(32)]
const input = Buffer.from('header.payload')

const inRing = (key: NewKey): SigningKey => ({ ...keyIn(freshRing(), 'k1'), ...key })
const made = await createLocalVault([first], 2048).generate()
const key = inRing(made)

await t.test('a new key', async t => {
  await t.test('has its RFC 7638 thumbprint for a kid', async t => {
    t.equal(made.kid, await calculateJwkThumbprint({ kty: 'RSA', ...made.publicKey }, 'sha256'))
  })

  await t.test('is an RSA key of the size asked for, with the usual exponent', async t => {
    for (const size of [2048, 3072]) {
      const { publicKey, size: said, origin } = await createLocalVault([first], size).generate()
      t.match({ said, origin }, { said: size, origin: 'generated' })
      t.equal(Buffer.from(publicKey.n, 'base64url').length, size / 8, 'no leading zero byte')
      t.equal(Buffer.from(publicKey.n, 'base64url').toString('base64url'), publicKey.n, 'unpadded base64url')
      t.equal(publicKey.e, 'AQAB')
    }
  })

  await t.test('is another one each time, sealed anew', async t => {
    const other = await createLocalVault([first], 2048).generate()
    t.not(other.kid, made.kid)
    t.not(other.sealedPrivateKey?.split('.')[1], made.sealedPrivateKey?.split('.')[1], 'never twice the same iv')
  })

  await t.test('is made beside the event loop', async t => {
    let ticks = 0
    const ticking = setInterval(() => { ticks++ }, 1)
    await createLocalVault([first], 4096).generate()
    clearInterval(ticking)
    t.ok(ticks > 0)
  })
})

await t.test('a signature', async t => {
  await t.test('is RSASSA-PKCS1-v1_5 with SHA-256, also from a vault opened later', async t => {
    const publicKey = createPublicKey({ key: { kty: 'RSA', ...made.publicKey }, format: 'jwk' })
    const signature = await createLocalVault([first], 2048).sign(key, input)
    t.ok(verify('sha256', input, publicKey, signature))
    t.notOk(verify('sha256', Buffer.from('header.paylord'), publicKey, signature))
  })

  await t.test('takes a private half that is still there', async t => {
    const vault = createLocalVault([first], 2048)
    await vault.sign(key, input)
    await t.rejects(vault.sign({ ...key, sealedPrivateKey: null }, input), { message: /erased/ })
  })

  await t.test('that cannot be made holds up no other', async t => {
    const vault = createLocalVault([first], 2048)
    await t.rejects(vault.sign(key, null as unknown as Buffer), TypeError)
    t.ok(await vault.sign(key, input))
  })

  await t.test('is each input\'s own, when many are asked for at once', async t => {
    const publicKey = createPublicKey({ key: { kty: 'RSA', ...made.publicKey }, format: 'jwk' })
    const vault = createLocalVault([first], 2048)
    const inputs = Array.from({ length: 21 }, (_, number) => Buffer.from(`header.${number}`))
    const asked = await Promise.allSettled(inputs.map(async (each, number) => await vault.sign(number === 3 ? { ...key, sealedPrivateKey: null } : key, each)))
    t.strictSame(asked.map((answer, number) => answer.status === 'fulfilled' && verify('sha256', inputs[number] ?? input, publicKey, answer.value)), inputs.map((_, number) => number !== 3), 'but for the one that could not be made')
  })

  await t.test('is made with each of many keys by its own', async t => {
    const vault = createLocalVault([first], 2048)
    const keys = await Promise.all(Array.from({ length: 12 }, async () => inRing(await vault.generate())))
    for (const each of [...keys, ...keys]) {
      const publicKey = createPublicKey({ key: { kty: 'RSA', ...each.publicKey }, format: 'jwk' })
      t.ok(verify('sha256', input, publicKey, await vault.sign(each, input)))
    }
  })
})

await t.test('a sealed half', async t => {
  await t.test('shows nothing of the private key', async t => {
    t.match(made.sealedPrivateKey, /^v1(\.[A-Za-z0-9_-]+){3}$/)
    t.notMatch(Buffer.from(made.sealedPrivateKey?.split('.')[2] ?? '', 'base64url').toString('latin1'), /PRIVATE KEY/)
    t.notOk(Buffer.from(made.sealedPrivateKey?.split('.')[2] ?? '', 'base64url').includes(Buffer.from(made.publicKey.n, 'base64url')), 'a private key holds its modulus in the clear; a sealed one does not')
  })

  await t.test('opens with any master key of a list', async t => {
    const vault = createLocalVault([second, first], 2048)
    t.doesNotThrow(() => { vault.assertOpens([key]) })
    t.ok(await vault.sign(key, input))
  })

  await t.test('is sealed with the first of a list', async t => {
    const sealed = inRing(await createLocalVault([second, first], 2048).generate())
    t.doesNotThrow(() => { createLocalVault([second], 2048).assertOpens([sealed]) })
    t.throws(() => { createLocalVault([first], 2048).assertOpens([sealed]) }, MasterKeyError)
  })

  await t.test('does not open with another master key', async t => {
    const vault = createLocalVault([stranger, second], 2048)
    t.throws(() => { vault.assertOpens([key]) }, { name: 'MasterKeyError', message: new RegExp(key.kid) })
    await t.rejects(vault.sign(key, input), MasterKeyError)
  })

  await t.test('does not open under another kid', async t => {
    t.throws(() => { createLocalVault([first], 2048).assertOpens([{ ...key, kid: 'another' }]) }, MasterKeyError)
  })

  await t.test('does not open when a bit of it has changed', async t => {
    const parts = made.sealedPrivateKey?.split('.') ?? []
    for (const place of [1, 2, 3]) {
      const bytes = Buffer.from(parts[place] ?? '', 'base64url')
      bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0)
      const sealedPrivateKey = parts.with(place, bytes.toString('base64url')).join('.')
      t.throws(() => { createLocalVault([first], 2048).assertOpens([{ ...key, sealedPrivateKey }]) }, MasterKeyError)
    }
    const shortTag = parts.with(3, Buffer.from(parts[3] ?? '', 'base64url').subarray(0, 4).toString('base64url')).join('.')
    t.throws(() => { createLocalVault([first], 2048).assertOpens([{ ...key, sealedPrivateKey: shortTag }]) }, MasterKeyError, 'nor with a shortened tag')
  })

  await t.test('of a form from the future is refused, not guessed at', async t => {
    for (const sealedPrivateKey of [made.sealedPrivateKey?.replace('v1', 'v2') ?? '', 'v1.a', '']) {
      t.throws(() => { createLocalVault([first], 2048).assertOpens([{ ...key, sealedPrivateKey }]) }, MasterKeyError)
    }
  })

  await t.test('that is erased needs no master key', async t => {
    t.doesNotThrow(() => { createLocalVault([stranger], 2048).assertOpens([{ ...key, sealedPrivateKey: null }]) })
  })
})
