/** What a bot token says: RFC 9068's claims and OpenMetadata's own, together. */

export interface BotClaims {
  iss: string
  /** Name of the bot, also in `client_id` and `preferred_username`. */
  sub: string
  /** A string if there is one audience, else an array. */
  aud: string | string[]
  client_id: string
  /** Seconds since the epoch, as are all times in claims. */
  iat: number
  exp: number
  jti: string
  /** Space-separated; absent if there is none. */
  scope?: string
  roles: string[]
  email: string
  preferred_username: string
  isBot: true
  tokenType: 'BOT'
}

/** Verifiers take no larger token. */
export const LARGEST_TOKEN_BYTES = 8 * 1024

/** The `typ` values that a token of ours may bear, whatever is minted now (RFC 9068 2.1; RFC 7515 4.1.9). */
export const BOT_TOKEN_TYPES = ['at+jwt', 'application/at+jwt', 'jwt'] as const

export function audienceClaim (audiences: readonly string[]): string | string[] {
  const [first, ...others] = audiences
  return first !== undefined && others.length === 0 ? first : [...audiences]
}

/** Splits a `scope` claim or parameter (RFC 6749 3.3). */
export function splitScope (scope: unknown): string[] {
  return typeof scope === 'string' ? scope.split(' ').filter(part => part !== '') : []
}
