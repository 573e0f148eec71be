import type { VerificationKey } from '../keys/verification-key.ts'
import type { JsonObject } from './compact-token.ts'
import type { VerifyError } from './errors.ts'
import type { Principal, SharedPrincipal } from './principal.ts'
import type { VerifiedToken } from './verified-tokens.ts'

/**
 * Says whether form, key and signature of `token` are good. Judges nothing else: times and claims are our own checks.
 * @param kind whose token it is
 */
export type SignatureJudge = (token: string, key: VerificationKey, kind: Principal['kind']) => boolean | Promise<boolean>

/** What a caller demands of a token beyond that it is good. */
export interface Demands {
  /** Any of which will do for a bot's token, in place of the verifier's own; `null`: any at all. */
  audience?: readonly string[] | null | undefined
  /** All of them. */
  scopes?: readonly string[] | undefined
  /** All of them. */
  roles?: readonly string[] | undefined
  /** Any of them. */
  kinds?: ReadonlyArray<Principal['kind']> | undefined
  /** All of them. */
  groups?: readonly string[] | undefined
  /** Whether it takes an admin. */
  admin?: boolean | undefined
  /** Any of which will do: what a bot's token was asked for. */
  pipelines?: readonly string[] | undefined
}

/** A token on its way through the checks: each check may rely on what the ones before it have filled in. */
export interface TokenUnderTest {
  readonly raw: string
  readonly now: Date
  readonly demands: Demands
  /** Which it is depends on the door that the token came in by. */
  readonly judge: SignatureJudge
  /** What is remembered of it, once its signature was found good. */
  known: VerifiedToken | undefined
  header: JsonObject
  payload: JsonObject
  issuer: TrustedIssuer
  key: VerificationKey
  principal: SharedPrincipal
}

/**
 * What the checks ask of the issuer that a token names. It decides which keys may be tried, and how its claims read.
 * Each function throws `VerifyError`, but for `findKey`, which returns it.
 */
export interface TrustedIssuer {
  readonly kind: 'bot' | 'user'
  /** What the audience check asks for, in words. */
  readonly expectedAudience: string
  /** `typ` values, lower case; `null`: none at all. */
  readonly types: ReadonlyArray<string | null>
  /** Tokens without `exp` and `iat` are accepted: they last as long as their key. */
  readonly endless?: true
  /** @returns the key, or `key_unknown` or `key_revoked`: it is in force no more, if it ever was. Throws `keys_unavailable`. */
  findKey: (kid: string, now: Date) => VerificationKey | VerifyError | Promise<VerificationKey | VerifyError>
  /** Throws `audience_mismatch`, `client_mismatch` or `claim_missing`. */
  checkAudience: (token: TokenUnderTest) => void
  /** Throws `token_use_mismatch` or `claim_missing`. */
  checkUse: (token: TokenUnderTest) => void
  /** Throws `token_revoked`. */
  checkRevocation: (token: TokenUnderTest) => void
  /** Throws `bot_disabled`. */
  checkEnabled: (token: TokenUnderTest) => void
  /** Whom the token speaks for as far as it says itself: asked once a token. */
  toPrincipal: (token: TokenUnderTest) => Principal
  /** What more has to be known of whom it speaks for: asked for each request. */
  complete?: (principal: SharedPrincipal, token: TokenUnderTest) => SharedPrincipal | Promise<SharedPrincipal>
}

/** Finds the issuer that a token names in `iss`, or `undefined` if it is not trusted here. Throws `keys_unavailable` if that is not known yet. */
export type FindIssuer = (iss: string) => TrustedIssuer | undefined | Promise<TrustedIssuer | undefined>
