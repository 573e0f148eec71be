/**
 * Client secrets: `mmk_` + 43 base64url characters (256 random bits) + 6 base62 characters of checksum,
 * so that scanners can tell a leaked secret from noise. Kept as a SHA-256 digest: no guess covers 256 random bits,
 * so a slow hash would protect nothing and cap how fast tokens are minted.
 */
import { hash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { StoredSecret } from './bot.ts'

const PREFIX = 'mmk_'
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const FORM = /^mmk_([A-Za-z0-9_-]{43})([A-Za-z0-9]{6})$/

export function generateSecret (): string {
  const random = randomBytes(32).toString('base64url')
  return `${PREFIX}${random}${checksum(random)}`
}

/** Makes a secret for `bot`, to be shown once, and what is kept of it. */
export function newSecret (bot: string, options: { now: Date, expiresInSeconds?: number, description?: string }): { secret: string, stored: StoredSecret } {
  const secret = generateSecret()
  const stored = {
    id: randomUUID(),
    bot,
    digest: digestSecret(secret),
    description: options.description ?? null,
    createdAt: options.now,
    expiresAt: options.expiresInSeconds === undefined ? null : new Date(options.now.getTime() + options.expiresInSeconds * 1000),
    lastUsedAt: null
  }
  return { secret, stored }
}

/** True if `text` has the form and the checksum of a secret; says nothing of whether it is one that is known. */
export function looksLikeSecret (text: string): boolean {
  const [, random, sum] = FORM.exec(text) ?? []
  return random !== undefined && sum === checksum(random)
}

export function digestSecret (secret: string): string {
  return hash('sha256', secret, 'base64url')
}

/**
 * Finds the secret that was presented among those of a bot. Takes the same time whatever matches:
 * each is compared in full, and an unknown bot's empty list counts as one.
 */
export function matchSecret (presented: string, secrets: readonly StoredSecret[], now: Date): StoredSecret | null {
  const digest = Buffer.from(digestSecret(presented))
  let matched: StoredSecret | null = null
  for (const secret of secrets) {
    const equal = timingSafeEqual(digest, Buffer.from(secret.digest))
    const alive = secret.expiresAt === null || now < secret.expiresAt
    if (equal && alive) matched = secret
  }
  if (secrets.length === 0) timingSafeEqual(digest, digest)
  return matched
}

/** CRC-32 in base62, the most significant digit first. */
function checksum (text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let place = 0; place < 6; place++) {
    digits = BASE62.charAt(rest % 62) + digits
    rest = Math.floor(rest / 62)
  }
  return digits
}
