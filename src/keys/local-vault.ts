/**
 * The vault of an installation without KMS: private halves sealed with a master key, AES-256-GCM, the kid as associated data.
 *
 * A sealed half reads `v1.<iv>.<ciphertext>.<tag>`, each part base64url. The halves that signed last stay open in memory.
 */
import { createCipheriv, createDecipheriv, createPrivateKey, generateKeyPair, randomBytes, sign as signWithKey, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { calculateJwkThumbprint, exportJWK } from 'jose'
import { createRow } from './in-a-row.ts'
import type { KeyVault } from './key-vault.ts'
import type { SigningKey } from './signing-key.ts'

const generateKeyPairAsync = promisify(generateKeyPair)

/** The key that signs, and the one that it hands over to. */
const MOST_OPENED = 2
const SIGNED_IN_A_ROW = 8

export class MasterKeyError extends Error {
  constructor (message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'MasterKeyError'
  }
}

export interface LocalVault extends KeyVault {
  /** Takes in a private half that was made elsewhere. @returns it as it may be kept */
  seal: (kid: string, privateKey: KeyObject) => string
  /** Seals the private half anew, with the first master key; an erased one stays erased. Throws {@link MasterKeyError}. */
  reseal: (key: SigningKey) => SigningKey
  /** False for a private half that none of the master keys opens; an erased one needs none. */
  opens: (key: SigningKey) => boolean
  /** Throws {@link MasterKeyError} unless every private half in `ring` opens. */
  assertOpens: (ring: readonly SigningKey[]) => void
}

/**
 * @param masterKeys 32 bytes each: the first seals, all open
 * @param keySize modulus length of new keys, in bits
 */
export function createLocalVault (masterKeys: readonly [Buffer, ...Buffer[]], keySize: number): LocalVault {
  const opened = new Map<string, KeyObject>()
  const row = createRow(SIGNED_IN_A_ROW)

  function privateKeyOf (key: SigningKey): KeyObject {
    if (key.sealedPrivateKey === null) throw new Error(`the private half of key ${key.kid} is erased`)
    const known = opened.get(key.kid)
    if (known) return known
    const privateKey = createPrivateKey({ key: open(key.sealedPrivateKey, key.kid, masterKeys), format: 'der', type: 'pkcs8' })
    const [oldest] = opened.size < MOST_OPENED ? [] : opened.keys()
    if (oldest !== undefined) opened.delete(oldest)
    opened.set(key.kid, privateKey)
    return privateKey
  }

  return {
    async generate () {
      const { publicKey, privateKey } = await generateKeyPairAsync('rsa', { modulusLength: keySize, publicExponent: 65_537 })
      const jwk = await exportJWK(publicKey)
      const kid = await calculateJwkThumbprint(jwk)
      const sealedPrivateKey = seal(privateKey.export({ format: 'der', type: 'pkcs8' }), kid, masterKeys[0])
      return { kid, size: keySize, origin: 'generated', publicKey: { n: jwk.n ?? '', e: jwk.e ?? '' }, sealedPrivateKey }
    },

    async sign (key, input) {
      const privateKey = privateKeyOf(key)
      return await new Promise((resolve, reject) => {
        signWithKey('sha256', input, privateKey, (error, signature) => {
          row.end(() => { if (error) reject(error); else resolve(signature) })
        })
        row.begin() // only now: what has thrown is not under way
      })
    },

    seal (kid, privateKey) {
      return seal(privateKey.export({ format: 'der', type: 'pkcs8' }), kid, masterKeys[0])
    },

    reseal (key) {
      if (key.sealedPrivateKey === null) return key
      return { ...key, sealedPrivateKey: seal(open(key.sealedPrivateKey, key.kid, masterKeys), key.kid, masterKeys[0]) }
    },

    opens (key) {
      try {
        this.assertOpens([key])
        return true
      } catch (error) {
        if (error instanceof MasterKeyError) return false
        throw error
      }
    },

    assertOpens (ring) {
      for (const key of ring) if (key.sealedPrivateKey !== null) open(key.sealedPrivateKey, key.kid, masterKeys)
    }
  }
}

function seal (plaintext: Buffer, kid: string, masterKey: Buffer): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', masterKey, iv).setAAD(Buffer.from(kid))
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return ['v1', ...[iv, ciphertext, cipher.getAuthTag()].map(part => part.toString('base64url'))].join('.')
}

function open (sealed: string, kid: string, masterKeys: readonly Buffer[]): Buffer {
  const [version, ...parts] = sealed.split('.')
  const [iv, ciphertext, tag] = parts.map(part => Buffer.from(part, 'base64url'))
  if (version !== 'v1' || !iv || !ciphertext || !tag) throw new MasterKeyError(`key ${kid} is sealed in a form that this version does not know`)
  for (const masterKey of masterKeys) {
    try {
      const decipher = createDecipheriv('aes-256-gcm', masterKey, iv, { authTagLength: 16 }).setAAD(Buffer.from(kid)).setAuthTag(tag)
      return Buffer.concat([decipher.update(ciphertext), decipher.final()])
    } catch { /* sealed by another of the master keys */ }
  }
  throw new MasterKeyError(`the master key does not open the private half of key ${kid}: it is not the one that sealed it. Put the right one back (MINTMARK_MASTER_KEY, MINTMARK_MASTER_KEY_FILE or keys/master.key); nothing was changed. If it is lost for good: "key replace-lost"`)
}
