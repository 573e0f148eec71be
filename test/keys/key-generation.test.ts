import { createPublicKey } from 'node:crypto'
import { getPriority } from 'node:os'
import t from 'tap'
import { generatePrivateKey } from '../../src/keys/key-generation.ts'

await t.test('a key of the size that was asked for, and another one each time', async t => {
  const before = getPriority()
  const keys = await Promise.all([2048, 2048, 3072].map(generatePrivateKey))
  t.equal(getPriority(), before, 'only the thread that makes it gives way')
  t.same(keys.map(key => [key.type, key.asymmetricKeyType, key.asymmetricKeyDetails]), [2048, 2048, 3072].map(modulusLength => ['private', 'rsa', { modulusLength, publicExponent: 65537n }]))
  t.equal(new Set(keys.map(key => createPublicKey(key).export({ format: 'jwk' }).n)).size, 3)
})

await t.test('a size that no key can have', async t => {
  await t.rejects(generatePrivateKey(-1), { code: 'ERR_OUT_OF_RANGE' })
})
