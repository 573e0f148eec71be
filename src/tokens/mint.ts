/** Mints bot tokens: what was granted becomes claims, the signing key's vault signs them. */
import { randomFillSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { emailOf, type Bot } from '../bots/bot.ts'
import type { Work } from '../bots/pipelines.ts'
import type { KeyRing } from '../keys/key-ring.ts'
import type { KeyVault } from '../keys/key-vault.ts'
import type { Rotator } from '../keys/rotator.ts'
import type { Clock, SigningKey } from '../keys/signing-key.ts'
import type { Revocations } from './revocations.ts'
import { audienceClaim, LARGEST_TOKEN_BYTES, type BotClaims } from './claims.ts'
import { signCompact } from './compact.ts'

export interface Grant {
  bot: Bot
  scopes: readonly string[]
  audiences: readonly string[]
  /** Asked for, or the bot's, or the default; the ceiling holds all the same. */
  ttlSeconds?: number
  work?: Work
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

/** No token can be made now: no key signs, too many wait to be signed, or the database has been away for so long that revocations may have been missed. */
export class CannotMint extends Error {
  constructor (why: string) {
    super(why)
    this.name = 'CannotMint'
  }
}

const LONGEST_WAIT_MS = 1_000
/**
 * Signatures are made on the thread pool, some 3,500 a second on each core: whoever comes after so many would wait longer than
 * clients do, and had better come again.
 */
const MOST_UNDER_WAY = 4_000
/** A header with a long kid, and the signature of a 4096-bit key. */
const LARGEST_HEADER_AND_SIGNATURE_BYTES = 300 + 512
/** Room for the pipeline and the run. */
const LARGEST_ADDED_CLAIMS_BYTES = 600

/** A token of so many roles, scopes and audiences would be too large for any verifier. */
export class TokenTooLarge extends Error {
  constructor () {
    super(`the token would be larger than ${LARGEST_TOKEN_BYTES} bytes`)
    this.name = 'TokenTooLarge'
  }
}

/** The run's tokens were taken back: one more would be refused at every door. */
export class RunRevoked extends Error {
  constructor () {
    super('the tokens of this run were revoked, and it gets no more: a new run takes another name')
    this.name = 'RunRevoked'
  }
}

export interface Mint {
  /** Throws {@link CannotMint}, {@link RunRevoked} or {@link TokenTooLarge}. */
  (grant: Grant): Promise<MintedToken>
  /**
   * Waits until the second is over in which the bot's tokens were revoked, so that `iat` alone tells them apart.
   * @returns true if it had to wait: then ask anew who the bot is, it may be gone meanwhile
   */
  untilIssuable: (bot: string) => Promise<boolean>
}

export interface MintParts {
  ring: KeyRing
  rotator: Pick<Rotator, 'settle'>
  vault: KeyVault
  revocations: Pick<Revocations, 'isStale' | 'notBefore' | 'isRunRevoked'>
  policy: MintPolicy
  clock: Clock
  /** How many tokens may wait for their signatures at a time. */
  mostUnderWay?: number
  /** Told of each token. */
  onMinted?: (kid: string, bot: string, exp: number) => void
}

export function createMint ({ ring, rotator, vault, revocations, policy, clock, onMinted, mostUnderWay = MOST_UNDER_WAY }: MintParts): Mint {
  let underWay = 0

  /** The key that signs now, if a token until `exp` does not outlive it. */
  function keyFor (exp: number): SigningKey | undefined {
    const key = ring.signing()
    return key && exp + policy.clockToleranceSeconds <= key.verifiesUntil.getTime() / 1000 ? key : undefined
  }

  /** After the ring has caught up: a sleep has left it behind. Throws {@link CannotMint}. */
  async function keyAfterSleep (exp: number): Promise<SigningKey> {
    await rotator.settle()
    const key = keyFor(exp)
    if (!key) throw new CannotMint('no key signs that this token would not outlive')
    return key
  }

  async function sign (key: SigningKey, input: Buffer): Promise<Buffer> {
    if (underWay >= mostUnderWay) throw new CannotMint('too many tokens wait for their signatures')
    underWay++
    try {
      return await vault.sign(key, input)
    } finally {
      underWay--
    }
  }

  async function untilIssuable (bot: string): Promise<boolean> {
    const early = revocations.notBefore(bot) * 1000 - clock().getTime()
    if (early <= 0) return false
    await sleep(Math.min(early, LONGEST_WAIT_MS))
    return true
  }

  async function mint (grant: Grant): Promise<MintedToken> {
    if (revocations.isStale()) throw new CannotMint('revocations have not been heard of for too long')
    if (grant.work?.run !== undefined && revocations.isRunRevoked(grant.bot.name, grant.work.run)) throw new RunRevoked()
    const iat = Math.max(Math.floor(clock().getTime() / 1000), revocations.notBefore(grant.bot.name))
    const ttl = Math.min(grant.ttlSeconds ?? grant.bot.tokenTtlSeconds ?? policy.tokenTtlSeconds, policy.maxTokenTtlSeconds)
    const claims = claimsOf(grant, policy, iat, iat + ttl)
    const key = keyFor(claims.exp) ?? await keyAfterSleep(claims.exp)
    const token = await signCompact({ alg: 'RS256', typ: policy.tokenTyp, kid: key.kid }, Buffer.from(JSON.stringify(claims)), async input => await sign(key, input))
    if (token.length > LARGEST_TOKEN_BYTES) throw new TokenTooLarge()
    onMinted?.(key.kid, grant.bot.name, claims.exp)
    return {
      token,
      tokenId: claims.jti,
      scopes: grant.scopes,
      expiresInSeconds: ttl,
      expiresAt: new Date(claims.exp * 1000)
    }
  }

  return Object.assign(mint, { untilIssuable })
}

/** True if a token with all that `bot` may have is one that verifiers take: the largest key's signature counted in. */
export function fitsIntoToken (bot: Bot, policy: Pick<MintPolicy, 'issuer' | 'principalDomain'>): boolean {
  const claims = claimsOf({ bot, scopes: bot.scopes, audiences: bot.audiences }, policy, 1e10, 1e10)
  const bytes = Buffer.byteLength(JSON.stringify(claims)) + LARGEST_HEADER_AND_SIGNATURE_BYTES + LARGEST_ADDED_CLAIMS_BYTES
  return Math.ceil(bytes * 4 / 3) <= LARGEST_TOKEN_BYTES
}

/** Random bytes cost by the call, not by the byte. */
const random = Buffer.alloc(4_096)
let randomUsed = random.length
const TOKEN_ID_BYTES = 16

function newTokenId (): string {
  if (randomUsed >= random.length) {
    randomFillSync(random)
    randomUsed = 0
  }
  randomUsed += TOKEN_ID_BYTES
  return random.toString('base64url', randomUsed - TOKEN_ID_BYTES, randomUsed)
}

function claimsOf ({ bot, scopes, audiences, work = {} }: Grant, policy: Pick<MintPolicy, 'issuer' | 'principalDomain'>, iat: number, exp: number): BotClaims {
  return {
    iss: policy.issuer,
    sub: bot.name,
    aud: audienceClaim(audiences),
    client_id: bot.name,
    iat,
    exp,
    jti: newTokenId(),
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    roles: [...bot.roles],
    email: emailOf(bot, policy.principalDomain),
    preferred_username: bot.name,
    isBot: true,
    tokenType: 'BOT',
    ...(work.pipeline !== undefined && { pipeline: work.pipeline }),
    ...(work.run !== undefined && { run_id: work.run })
  }
}
