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
  /** The pipeline, and the run of it, that the token was asked for. */
  pipeline?: string
  run_id?: string
}

/** What the revocation feed says (contract with verifiers elsewhere). All times are seconds since the epoch. */
export interface FeedClaims {
  /** Whose tokens it is about. */
  iss: string
  /** When the database was last seen to have nothing newer. */
  iat: number
  /** It must not be relied on from then on. */
  exp: number
  /** Counts up with every change, and never falls. */
  version: number
  /** Revoked keys, legacy ones included, by `kid`. */
  keys: string[]
  /** Tokens of these bots that were issued before this second are dead. */
  bots: Record<string, number>
  /** Bots that are switched off. */
  disabled: string[]
  /** Tokens of these runs are dead; the entry may be forgotten at `until`. */
  runs: Array<{ bot: string, run: string, until: number }>
  /** Revoked tokens: `jti`, and when each would have been over. */
  tokens: Record<string, number>
  /** Legacy keys, with the issuer of their tokens. A revoked one stands in `keys` too, and verified until it was. */
  legacy: Array<{ issuer: string, kid: string, n: string, e: string, verifiesUntil: number }>
}

/** The feed's `typ`: it is no bot's token, and no bot's token is a feed. */
export const FEED_TYPE = 'revocations+jwt'

/** Where the feed is, beneath the service's address. */
export const FEED_PATH = '/.well-known/token-revocations'

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
