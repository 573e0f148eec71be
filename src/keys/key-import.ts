/**
 * Reads a key that comes from elsewhere: PEM, or DER (PKCS#8, SPKI). Refuses what would weaken us, with a reason:
 * keys that are too small, of an odd make, halves that do not match, and the pair that OpenMetadata ships to everyone.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import { DEMO_MODULUS } from './demo-key.ts'

const LEAST_MODULUS_BITS = 2_048
const LARGEST_MODULUS_BITS = 8_192
const LEAST_EXPONENT = 65_537n

export interface ImportedMaterial {
  privateKey: KeyObject | null
  publicKey: { n: string, e: string }
  size: number
  /** RFC 7638. */
  thumbprint: string
}

/** A key that is not taken; `message` says why, `field` which one it is. */
export class KeyRefused extends Error {
  readonly field: 'privateKey' | 'publicKey'

  constructor (field: 'privateKey' | 'publicKey', message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'KeyRefused'
    this.field = field
  }
}

/**
 * @param given PEM text, DER bytes, or DER as base64 text; at least one half
 * @param allowDemoKeys take the pair that OpenMetadata ships: its private half is public
 * Throws {@link KeyRefused}.
 */
export async function readImport (given: { privateKey?: string | Buffer | undefined, publicKey?: string | Buffer | undefined }, allowDemoKeys: boolean): Promise<ImportedMaterial> {
  const privateKey = given.privateKey === undefined ? null : readPrivate(given.privateKey)
  const derived = privateKey && createPublicKey(privateKey)
  const stated = given.publicKey === undefined ? null : readPublic(given.publicKey)
  const field = privateKey ? 'privateKey' : 'publicKey'
  const publicKey = stated ?? derived
  if (!publicKey) throw new KeyRefused('publicKey', 'is missing: send a private key, a public key, or both')
  if (derived && stated && !derived.equals(stated)) throw new KeyRefused('privateKey', 'does not match the public key')
  assertStrong(publicKey, field)
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' })
  if (n === DEMO_MODULUS && !allowDemoKeys) throw new KeyRefused(field, 'is the one that OpenMetadata ships: its private half is public, and whoever has it is any bot. Make a key pair of your own (MINTMARK_ALLOW_DEMO_KEYS is for trying things out on one machine)')
  return { privateKey, publicKey: { n, e }, size: publicKey.asymmetricKeyDetails?.modulusLength ?? 0, thumbprint: await calculateJwkThumbprint({ kty: 'RSA', n, e }) }
}

function readPrivate (given: string | Buffer): KeyObject {
  try {
    return isPem(given) ? createPrivateKey(given) : createPrivateKey({ key: derOf(given), format: 'der', type: 'pkcs8' })
  } catch (error) {
    throw new KeyRefused('privateKey', 'takes an unencrypted private key: PEM, or base64 of DER (PKCS#8)', { cause: error })
  }
}

function readPublic (given: string | Buffer): KeyObject {
  if (isPem(given) && given.toString().includes('PRIVATE KEY')) throw new KeyRefused('publicKey', 'holds a private key: send its public half, or send it as privateKey')
  try {
    return isPem(given) ? createPublicKey(given) : createPublicKey({ key: derOf(given), format: 'der', type: 'spki' })
  } catch (error) {
    throw new KeyRefused('publicKey', 'takes a public key: PEM, or base64 of DER (SPKI)', { cause: error })
  }
}

function isPem (given: string | Buffer): boolean {
  return given.toString().includes('-----BEGIN')
}

function derOf (given: string | Buffer): Buffer {
  return typeof given === 'string' ? Buffer.from(given.replaceAll(/\s/g, ''), 'base64') : given
}

function assertStrong ({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject, field: 'privateKey' | 'publicKey'): void {
  if (asymmetricKeyType !== 'rsa') throw new KeyRefused(field, 'is not an RSA key')
  const { modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails ?? {}
  if (modulusLength < LEAST_MODULUS_BITS) throw new KeyRefused(field, `has ${modulusLength} bit: it takes ${LEAST_MODULUS_BITS} at least`)
  if (modulusLength > LARGEST_MODULUS_BITS) throw new KeyRefused(field, `has ${modulusLength} bit: it takes ${LARGEST_MODULUS_BITS} at most`)
  if (publicExponent % 2n === 0n || publicExponent < LEAST_EXPONENT) throw new KeyRefused(field, `has the public exponent ${publicExponent.toString()}: it takes an odd one, ${LEAST_EXPONENT.toString()} at least`)
}
