/** Mints bot tokens: what was granted becomes claims, the signing key's vault signs them. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { emailOf, type Bot } from '../bots/bot.ts'
import type { KeyRing } from '../keys/key-ring.ts'
import type { KeyVault } from '../keys/key-vault.ts'
import type { Rotator } from '../keys/rotator.ts'
import type { Clock, SigningKey } from '../keys/signing-key.ts'
import type { Revocations } from './revocations.ts'
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

/** No token can be made now: no key signs, or the database has been away for so long that revocations may have been missed. */
export class CannotMint extends Error {
  constructor (why: string) {
    super(why)
    this.name = 'CannotMint'
  }
}

const LONGEST_WAIT_MS = 1_000

export type Mint = (grant: Grant) => Promise<MintedToken>

export interface MintParts {
  ring: KeyRing
  rotator: Pick<Rotator, 'settle'>
  vault: KeyVault
  revocations: Pick<Revocations, 'isStale' | 'notBefore'>
  policy: MintPolicy
  clock: Clock
  /** Told of each token. */
  onMinted?: (kid: string, bot: string, exp: number) => void
}

export function createMint ({ ring, rotator, vault, revocations, policy, clock, onMinted }: MintParts): Mint {
  /** The key that signs now, after the ring has caught up if a sleep has left it behind. Throws {@link CannotMint}. */
  async function keyFor (exp: number): Promise<SigningKey> {
    const outlives = (key: SigningKey | undefined): key is SigningKey =>
      key !== undefined && exp + policy.clockToleranceSeconds <= key.verifiesUntil.getTime() / 1000
    if (!outlives(ring.signing())) await rotator.settle()
    const key = ring.signing()
    if (!outlives(key)) throw new CannotMint('no key signs that this token would not outlive')
    return key
  }

  /** A token that is asked for in the second of a revocation is signed when that second is over, so that `iat` alone tells them apart. */
  async function secondOfIssue (bot: string): Promise<number> {
    const notBefore = revocations.notBefore(bot)
    const early = notBefore * 1000 - clock().getTime()
    if (early > 0) await sleep(Math.min(early, LONGEST_WAIT_MS))
    return Math.max(Math.floor(clock().getTime() / 1000), notBefore)
  }

  return async grant => {
    if (revocations.isStale()) throw new CannotMint('revocations have not been heard of for too long')
    const iat = await secondOfIssue(grant.bot.name)
    const ttl = Math.min(grant.ttlSeconds ?? grant.bot.tokenTtlSeconds ?? policy.tokenTtlSeconds, policy.maxTokenTtlSeconds)
    const claims = claimsOf(grant, policy, iat, iat + ttl)
    const key = await keyFor(claims.exp)
    const token = await signCompact({ alg: 'RS256', typ: policy.tokenTyp, kid: key.kid }, claims, async input => await vault.sign(key, input))
    onMinted?.(key.kid, grant.bot.name, claims.exp)
    return {
      token,
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
