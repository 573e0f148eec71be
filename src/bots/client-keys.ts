/** Which public keys a bot may authenticate with (`private_key_jwt`, RFC 7523): RS256, PS256, ES256, EdDSA. */
import { createPublicKey } from 'node:crypto'
import type { ClientKey } from './bot.ts'

const ALGORITHMS: Record<string, readonly string[]> = { RSA: ['RS256', 'PS256'], EC: ['ES256'], OKP: ['EdDSA', 'Ed25519'] }
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']
const LEAST_MODULUS_BITS = 2_048

/** @returns why `jwk` cannot be taken, `null` if it can */
export function faultOfClientKey (jwk: Record<string, unknown>): string | null {
  if (PRIVATE_MEMBERS.some(member => member in jwk)) return 'holds a private key: send the public half only, and make a new key, since this one has travelled'
  const algorithms = typeof jwk.kty === 'string' ? ALGORITHMS[jwk.kty] : undefined
  if (!algorithms) return 'takes keys of kty RSA, EC (P-256) or OKP (Ed25519)'
  if (jwk.use !== undefined && jwk.use !== 'sig') return 'is not for signatures (use)'
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) return 'is not for verifying (key_ops)'
  if (jwk.alg !== undefined && !algorithms.some(algorithm => algorithm === jwk.alg)) return `takes alg ${algorithms.join(' or ')}`
  if (jwk.kid !== undefined && (typeof jwk.kid !== 'string' || jwk.kid === '')) return 'has a kid that is not a string'
  return faultOfMaterial(jwk)
}

/** @returns why the keys cannot stand side by side, `null` if they can */
export function faultOfClientKeys (keys: readonly ClientKey[]): string | null {
  const kids = keys.map(key => key.kid).filter(kid => kid !== undefined)
  return new Set(kids).size < kids.length ? 'has a kid twice' : null
}

function faultOfMaterial (jwk: Record<string, unknown>): string | null {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({ key: jwk, format: 'jwk' })
    if (asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) < LEAST_MODULUS_BITS) return `is under ${LEAST_MODULUS_BITS} bit`
    if (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve !== 'prime256v1') return 'takes curve P-256'
    if (!['rsa', 'ec', 'ed25519'].includes(asymmetricKeyType ?? '')) return 'takes curve Ed25519'
    return null
  } catch {
    return 'is not a public key'
  }
}
