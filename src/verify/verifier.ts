/**
 * Verifies a token: bot or user, the same way at every door.
 * It owns the order of things; what is checked stands in checks.ts, what an issuer's tokens look like in bot-tokens.ts and cognito-tokens.ts.
 */
import type { Clock } from '../keys/signing-key.ts'
import { createChecks, type Check } from './checks.ts'
import type { JsonObject } from './compact-token.ts'
import { VerifyError } from './errors.ts'
import { explain, type Explanation, type Failure } from './explanation.ts'
import type { SharedPrincipal } from './principal.ts'
import type { Demands, FindIssuer, SignatureJudge, TokenUnderTest } from './trusted-issuer.ts'
import { createVerifiedTokens, type VerifiedTokens } from './verified-tokens.ts'

export interface Verifier {
  /**
   * @param token compact JWS; empty if none came
   * @param judge judges the signature, unless it was found good before
   * Throws or rejects with `VerifyError`.
   * @returns a promise only if something has to be waited for. The principal is remembered: to be read, and copied for whoever may change it
   */
  verify: (token: string, judge: SignatureJudge, demands?: Demands) => SharedPrincipal | Promise<SharedPrincipal>
  /**
   * Whom a token was issued to, if it is ours and authentic, whether or not it is still good.
   * @returns its payload, or `null` for a token that is none of ours
   */
  identify: (token: string, judge: SignatureJudge) => Promise<JsonObject | null>
  /** Runs the same checks, and says of each how it went. Never throws `VerifyError`. */
  explain: (token: string, judge: SignatureJudge, demands?: Demands) => Promise<Explanation>
}

export interface VerifierParts {
  findIssuer: FindIssuer
  clock: Clock
  clockToleranceSeconds: number
  verifiedTokens?: VerifiedTokens
  /** Told of each token that passed all checks; an explanation does not count. */
  onVerified?: (token: TokenUnderTest) => void
  /** Told why one did not: `VerifyError`, or whatever broke. */
  onRefused?: (error: unknown) => void
}

export function createVerifier (parts: VerifierParts): Verifier {
  const { verifiedTokens = createVerifiedTokens() } = parts
  const checks = createChecks(parts.findIssuer, parts.clockToleranceSeconds, verifiedTokens)

  function accept (token: TokenUnderTest): SharedPrincipal {
    parts.onVerified?.(token)
    return token.principal
  }

  /** Goes on once a check that has to wait for something is through. */
  async function verifyLater (token: TokenUnderTest, place: number, underWay: Promise<void>): Promise<SharedPrincipal> {
    try {
      await underWay
      for (let next = place + 1; next < checks.length; next++) {
        const more = checks[next]?.run(token)
        if (more !== undefined) await more
      }
    } catch (error) {
      parts.onRefused?.(error)
      throw error
    }
    return accept(token)
  }

  return {
    verify (raw, judge, demands = NO_DEMANDS) {
      const token = underTest(raw, judge, demands, parts.clock())
      try {
        for (let place = 0; place < checks.length; place++) {
          const underWay = checks[place]?.run(token)
          if (underWay !== undefined) return verifyLater(token, place, underWay)
        }
      } catch (error) {
        parts.onRefused?.(error)
        throw error
      }
      return accept(token)
    },

    async identify (raw, judge) {
      const token = underTest(raw, judge, NO_DEMANDS, parts.clock())
      const authenticity = checks.slice(0, checks.findIndex(check => check.name === 'times'))
      return await firstFailure(authenticity, token) === null && token.issuer.kind === 'bot' ? token.payload : null
    },

    async explain (raw, judge, demands = NO_DEMANDS) {
      const token = underTest(raw, judge, demands, parts.clock())
      const failure = await firstFailure(checks, token)
      return explain(checks, token, failure)
    }
  }
}

const NO_DEMANDS: Demands = {}

/** Every field has its place from the start: objects that grow cost more than the checks that fill them in. */
function underTest (raw: string, judge: SignatureJudge, demands: Demands, now: Date): TokenUnderTest {
  return { raw, judge, demands, now, known: undefined, header: undefined, payload: undefined, issuer: undefined, key: undefined, principal: undefined } as unknown as TokenUnderTest
}

async function firstFailure (checks: readonly Check[], token: TokenUnderTest): Promise<Failure | null> {
  for (const check of checks) {
    try {
      await check.run(token)
    } catch (error) {
      if (error instanceof VerifyError) return { check: check.name, error }
      throw error
    }
  }
  return null
}
