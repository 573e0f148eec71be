/** Mints bot tokens: what was granted becomes claims, the signing key's vault signs them. */
import { randomBytes } from 'node:crypto'
import { emailOf, type Bot } from '../bots/bot.ts'
import type { KeyRing } from '../keys/key-ring.ts'
import type { KeyVault } from '../keys/key-vault.ts'
import type { Rotator } from '../keys/rotator.ts'
import type { Clock, SigningKey } from '../keys/signing-key.ts'
import { audienceClaim, type BotClaims } from './claims.ts'

export interface Grant {
  bot: Bot
  scopes: readonly string[]
  audiences: readonly string[]
  /** Asked for, or the bot's, or the default; the ceiling holds all the same. */
  ttlSeconds?: number
}

export interface MintedToken {
  token: string
  /** `jti`. */
  tokenId: string
  scopes: readonly string[]
  expiresInSeconds: number
  expiresAt: Date
}

export interface MintPolicy {
  readonly issuer: string
  readonly tokenTyp: string
  readonly principalDomain: string
  readonly tokenTtlSeconds: number
  readonly maxTokenTtlSeconds: number
  readonly clockToleranceSeconds: number
}

/** No key can sign now: there is none, or none that a token of this life would not outlive. */
export class CannotSign extends Error {
  constructor () {
    super('no key can sign now')
    this.name = 'CannotSign'
  }
}

export type Mint = (grant: Grant) => Promise<MintedToken>

export function createMint (parts: { ring: KeyRing, rotator: Rotator, vault: KeyVault, policy: MintPolicy, clock: Clock }): Mint {
  const { ring, rotator, vault, policy, clock } = parts

  /** The key that signs now, after the ring has caught up if a sleep has left it behind. Throws {@link CannotSign}. */
  async function keyFor (exp: number): Promise<SigningKey> {
    const outlives = (key: SigningKey | undefined): key is SigningKey =>
      key !== undefined && exp + policy.clockToleranceSeconds <= key.verifiesUntil.getTime() / 1000
    if (!outlives(ring.signing())) await rotator.settle()
    const key = ring.signing()
    if (!outlives(key)) throw new CannotSign()
    return key
  }

  return async grant => {
    const iat = Math.floor(clock().getTime() / 1000)
    const ttl = Math.min(grant.ttlSeconds ?? grant.bot.tokenTtlSeconds ?? policy.tokenTtlSeconds, policy.maxTokenTtlSeconds)
    const claims = claimsOf(grant, policy, iat, iat + ttl)
    const key = await keyFor(claims.exp)
    return {
      token: await signCompact({ alg: 'RS256', typ: policy.tokenTyp, kid: key.kid }, claims, async input => await vault.sign(key, input)),
      tokenId: claims.jti,
      scopes: grant.scopes,
      expiresInSeconds: ttl,
      expiresAt: new Date(claims.exp * 1000)
    }
  }
}

function claimsOf ({ bot, scopes, audiences }: Grant, policy: MintPolicy, iat: number, exp: number): BotClaims {
  return {
    iss: policy.issuer,
    sub: bot.name,
    aud: audienceClaim(audiences),
    client_id: bot.name,
    iat,
    exp,
    jti: randomBytes(16).toString('base64url'),
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    roles: [...bot.roles],
    email: emailOf(bot, policy.principalDomain),
    preferred_username: bot.name,
    isBot: true,
    tokenType: 'BOT'
  }
}

/** JWS Compact Serialization (RFC 7515 7.1); the vault, which may be far away, signs. */
async function signCompact (header: object, payload: object, sign: (input: Buffer) => Promise<Buffer>): Promise<string> {
  const input = [header, payload].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${input}.${(await sign(Buffer.from(input))).toString('base64url')}`
}
