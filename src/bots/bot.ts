/** A bot: a machine identity that ingestion pipelines run as. */

export interface Bot {
  readonly name: string
  readonly displayName: string | null
  /** `null`: `<name>@<principal domain>`. */
  readonly email: string | null
  readonly roles: readonly string[]
  readonly scopes: readonly string[]
  readonly audiences: readonly string[]
  /** `null`: the service's default. */
  readonly tokenTtlSeconds: number | null
  /** Machine clients of the user pool whose tokens are this bot's; each stands for one bot only. */
  readonly cognitoClientIds: readonly string[]
  /** Pipelines that it gets tokens for; empty: any, or none. */
  readonly pipelines: readonly string[]
  /** Public keys for `private_key_jwt` (RFC 7523). */
  readonly jwks: readonly ClientKey[]
  /** Whose workload tokens it may be had for (RFC 8693). */
  readonly trust: readonly TrustRule[]
  readonly enabled: boolean
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** A public JWK: its members, none of them private. */
export type ClientKey = Readonly<Record<string, unknown>> & { readonly kty: string }

/** A workload token that meets all of a rule may be exchanged for a token of the bot. */
export interface TrustRule {
  readonly issuer: string
  readonly audience: string
  /** Exact, or with one `*` at its end. */
  readonly subject: string
  /** Claims that must have these values. */
  readonly claims?: Readonly<Record<string, string | number | boolean>>
  /** The claims that name the pipeline and the run: by name, or by JSON Pointer. */
  readonly pipelineClaim?: string
  readonly runClaim?: string
}

/** A client secret as it is kept: its digest, never itself. */
export interface StoredSecret {
  readonly id: string
  readonly bot: string
  readonly digest: string
  readonly description: string | null
  readonly createdAt: Date
  readonly expiresAt: Date | null
  readonly lastUsedAt: Date | null
}

export const BOT_NAME_PATTERN = '^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$'
const BOT_NAME = new RegExp(BOT_NAME_PATTERN)

export function isBotName (text: string): boolean {
  return BOT_NAME.test(text)
}
/** RFC 6749 3.3: scope-token. */
export const SCOPE_PATTERN = '^[\\x21\\x23-\\x5B\\x5D-\\x7E]{1,128}$'

/** The e-mail address that a token of `bot` bears. */
export function emailOf (bot: Bot, principalDomain: string): string {
  return bot.email ?? `${bot.name}@${principalDomain}`
}
