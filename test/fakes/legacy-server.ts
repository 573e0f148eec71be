/** A server that signs bot tokens as OpenMetadata does: its own RSA key, its own `kid`, no `aud`, no `jti`. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { SignJWT, type JWTPayload } from 'jose'

export interface LegacyServer {
  kid: string
  publicKey: KeyObject
  privateKey: KeyObject
  /** @param claims in place of those that such a token has */
  token: (claims?: Record<string, unknown>, header?: Record<string, unknown>) => Promise<string>
}

export const LEGACY_ISSUER = 'open-metadata.org'

export function legacyServer (now: () => Date, modulusLength = 2_048, kid = 'Gb389a-9f76-gdjs-a92j-0242bk94356'): LegacyServer {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength })
  return {
    kid,
    publicKey,
    privateKey,
    async token (claims = {}, header = {}) {
      const iat = Math.floor(now().getTime() / 1000)
      const payload = { iss: LEGACY_ISSUER, sub: 'ingestion-bot', roles: ['IngestionBotRole'], email: 'ingestion-bot@open-metadata.org', isBot: true, tokenType: 'BOT', iat, exp: null, ...claims }
      return await new SignJWT(payload as unknown as JWTPayload).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid, ...header }).sign(privateKey)
    }
  }
}
