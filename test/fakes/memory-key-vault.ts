import { createHash } from 'node:crypto'
import type { KeyVault } from '../../src/keys/key-vault.ts'
import type { NewKey } from '../../src/keys/rotation-plan.ts'

/** A vault without RSA: kids in the order of their making, moduli of the right form, signatures of no worth. */
export interface MemoryKeyVault extends KeyVault {
  /** How many keys it has made. */
  made: () => number
}

export function memoryKeyVault (prefix = 'key'): MemoryKeyVault {
  let made = 0
  return {
    made: () => made,
    generate: async () => newKey(`${prefix}-${++made}`),
    sign: async (key, input) => {
      if (key.sealedPrivateKey === null) throw new Error(`the private half of key ${key.kid} is erased`)
      return createHash('sha256').update(key.kid).update(input).digest()
    }
  }
}

/** Key material that has the form of the real one. */
export function newKey (kid: string): NewKey {
  const modulus = createHash('shake256', { outputLength: 256 }).update(kid).digest()
  modulus[0] = 0xff
  modulus[255] = 0xff
  return { kid, size: 2048, origin: 'generated', publicKey: { n: modulus.toString('base64url'), e: 'AQAB' }, sealedPrivateKey: `sealed ${kid}` }
}
