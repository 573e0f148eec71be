/** Keys of clients and platforms, and what they sign: as it should be, or with anything in it changed. */
import { randomUUID } from 'node:crypto'
import { CompactSign, exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose'

export interface Signer {
  alg: string
  kid: string
  privateKey: CryptoKey
  /** The public half, with `kid` and `alg`. */
  jwk: JWK & { kty: string }
  /** @param header added to `alg` and `kid`, or in their place; `undefined` leaves one out */
  sign: (claims: unknown, header?: Record<string, unknown>) => Promise<string>
}

export async function makeSigner (alg = 'ES256', kid = `${alg.toLowerCase()}-key`): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = { ...await exportJWK(publicKey), kid, alg } as Signer['jwk']
  return {
    alg,
    kid,
    privateKey,
    jwk,
    async sign (claims, header = {}) {
      const merged: Record<string, unknown> = { alg, kid, ...header }
      const stated = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined)) as { alg: string }
      return await new CompactSign(Buffer.from(JSON.stringify(claims))).setProtectedHeader(stated).sign(privateKey)
    }
  }
}

/** What an assertion of `client` says (RFC 7523 3): good for a minute, once. */
export function assertionClaims (client: string, now: Date, audience = 'http://localhost:8590'): Record<string, unknown> {
  const seconds = Math.floor(now.getTime() / 1000)
  return { iss: client, sub: client, aud: audience, iat: seconds, exp: seconds + 60, jti: randomUUID() }
}

/** A JWS as nobody's library would make it: parts put together by hand. */
export function handmade (header: unknown, payload: unknown, signature = 'AAAA'): string {
  return `${[header, payload].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.${signature}`
}
