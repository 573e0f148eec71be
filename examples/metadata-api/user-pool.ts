/**
 * Sign-in at the user pool's hosted UI, as OpenMetadata's Cognito guide sets it up: a public client, authorization code with PKCE
 * (RFC 9700 2.1.1). What the id token says is judged elsewhere, by the plugin, as for everybody else.
 */
import * as client from 'openid-client'

export interface UserPool {
  /** @returns where to send the browser, and what only it may bring back */
  begin: () => Promise<{ url: URL, attempt: Attempt }>
  /** @param currentUrl what the hosted UI called. Throws {@link SignInError}. */
  finish: (currentUrl: URL, attempt: Attempt) => Promise<Tokens>
  /** Fetches new tokens shortly before the old ones end. Throws {@link SignInError}, `refused` when the pool will have no more of it. */
  keepFresh: (tokens: Tokens) => Promise<Tokens>
  /** Takes the tokens back. @returns where to send the browser, so that the hosted UI forgets it, too; `null` if that is nowhere */
  end: (tokens: Tokens | undefined) => Promise<URL | null>
}

export interface Attempt {
  /** The answer bears it again, so that nobody can slip in an answer of his own. */
  state: string
  /** Whoever intercepts the code has nothing of it without this. */
  codeVerifier: string
}

export interface Tokens {
  idToken: string
  /** Milliseconds since the epoch. */
  expiresAt: number
  refreshToken: string | null
}

/** `statusCode` is what Fastify answers. */
export class SignInError extends Error {
  readonly refused: boolean
  readonly statusCode: number

  constructor (message: string, { refused, cause }: { refused: boolean, cause?: unknown }) {
    super(message, { cause })
    this.name = 'SignInError'
    this.refused = refused
    this.statusCode = refused ? 400 : 503
  }
}

interface UserPoolOptions {
  authority: string
  clientId: string
  callbackUrl: URL
  clock: () => Date
}

const REFRESH_AHEAD_MS = 60_000
const ANSWER_WITHIN_SECONDS = 10

export function createUserPool ({ authority, clientId, callbackUrl, clock }: UserPoolOptions): UserPool {
  let known: Promise<client.Configuration> | null = null
  /** By the token that is used up: a pool that rotates them takes each once, and two pages may be asked for at the same time. */
  const refreshing = new Map<string, Promise<Tokens>>()

  /** Where the hosted UI is, the pool itself says. Asked when first needed, and again if there was no answer: the API starts without. */
  async function configuration (): Promise<client.Configuration> {
    known ??= client.discovery(new URL(authority), clientId, undefined, client.None(), {
      timeout: ANSWER_WITHIN_SECONDS,
      // An emulator on this machine; Cognito itself is always https.
      ...(authority.startsWith('http:') && { execute: [client.allowInsecureRequests] }) // eslint-disable-line @typescript-eslint/no-deprecated -- marked so to stand out
    })
    try {
      return await known
    } catch (error) {
      known = null
      throw error
    }
  }

  async function refreshOnce (refreshToken: string): Promise<Tokens> {
    let refreshed = refreshing.get(refreshToken)
    if (!refreshed) {
      refreshed = toldApart(async () => tokensIn(await client.refreshTokenGrant(await configuration(), refreshToken), refreshToken))
      refreshing.set(refreshToken, refreshed)
      refreshed.finally(() => { refreshing.delete(refreshToken) }).catch(() => { /* whoever asked hears of it */ })
    }
    return await refreshed
  }

  return {
    begin: async () => await toldApart(async () => {
      const attempt = { state: client.randomState(), codeVerifier: client.randomPKCECodeVerifier() }
      const url = client.buildAuthorizationUrl(await configuration(), {
        redirect_uri: callbackUrl.href,
        scope: 'openid email profile',
        state: attempt.state,
        code_challenge: await client.calculatePKCECodeChallenge(attempt.codeVerifier),
        code_challenge_method: 'S256'
      })
      return { url, attempt }
    }),

    finish: async (currentUrl, { state, codeVerifier }) => await toldApart(async () =>
      tokensIn(await client.authorizationCodeGrant(await configuration(), currentUrl, {
        expectedState: state, pkceCodeVerifier: codeVerifier, idTokenExpected: true
      }), null)),

    async keepFresh (tokens) {
      const left = tokens.expiresAt - clock().getTime()
      if (left > REFRESH_AHEAD_MS || tokens.refreshToken === null) return tokens
      try {
        return await refreshOnce(tokens.refreshToken)
      } catch (error) {
        if (left > 0 && error instanceof SignInError && !error.refused) return tokens
        throw error
      }
    },

    async end (tokens) {
      try {
        const known = await configuration()
        const { end_session_endpoint: logout, revocation_endpoint: revocation } = known.serverMetadata()
        if (revocation !== undefined && tokens?.refreshToken) await client.tokenRevocation(known, tokens.refreshToken)
        // Cognito's own word for post_logout_redirect_uri. It has to stand among the app client's sign-out URLs.
        return logout === undefined ? null : client.buildEndSessionUrl(known, { logout_uri: new URL('/signed-out', callbackUrl).href })
      } catch {
        // The session here is over in any case.
        return null
      }
    }
  }
}

/** @param kept the refresh token in hand: a refresh gives another one only where the pool rotates them */
function tokensIn (answer: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers, kept: string | null): Tokens {
  const { id_token: idToken, refresh_token: refreshToken = kept } = answer
  if (idToken === undefined) throw new SignInError('The user pool gave no id token: the app client has to allow the scope openid.', { refused: true })
  return { idToken, expiresAt: (answer.claims()?.exp ?? 0) * 1000, refreshToken }
}

/** Tells a pool that says no from one that does not answer. */
async function toldApart<T> (ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (cause) {
    if (cause instanceof SignInError) throw cause
    throw isRefusal(cause)
      ? new SignInError('The sign-in did not come to a good end. Begin it again.', { refused: true, cause })
      : new SignInError('The user pool cannot be reached now. Try again in a minute.', { refused: false, cause })
  }
}

function isRefusal (error: unknown): boolean {
  return error instanceof client.AuthorizationResponseError ||
    (error instanceof client.ResponseBodyError && error.status < 500) ||
    (error instanceof client.ClientError && ANSWERS_THAT_ARE_NOT_OURS.has(error.code ?? ''))
}

/** Another state, another client, another time. */
const ANSWERS_THAT_ARE_NOT_OURS = new Set(['OAUTH_INVALID_RESPONSE', 'OAUTH_JWT_CLAIM_COMPARISON_FAILED', 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED'])
