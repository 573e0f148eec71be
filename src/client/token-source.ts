/**
 * A bot's token, kept while it is good. Past 80 % of its life it is renewed behind the back of whoever asks, so that nobody waits
 * while there is a good one; a service that is away is noticed only when the last one is over. No timer runs between calls.
 */
import { secureAddress } from './address.ts'
import { waitSeconds } from './backoff.ts'
import { clientSecretBasic, type Credential } from './credential.ts'
import { TokenUnavailable } from './token-error.ts'
import { requestToken, type Fetch, type TokenRequest } from './token-request.ts'

interface CommonOptions {
  /** Address of the mintmark service: https, but for loopback or with `allowHttp`. */
  url: string
  /** A subset of the bot's scopes; all of them if left out. */
  scopes?: readonly string[]
  /** A subset of the bot's audiences; all of them if left out. */
  audiences?: readonly string[]
  /** Becomes the claim `pipeline` of its tokens. */
  pipeline?: string
  /** Becomes the claim `run_id` of its tokens. */
  run?: string
  /** Plain http to the service, on a private network. */
  allowHttp?: boolean
  /** How long to try, when there is no good token and the service is away; 30 by default, `Infinity`: for ever. */
  patienceSeconds?: number
  /** How long one request may take; 10 by default. */
  timeoutSeconds?: number
  /** Ends requests and waiting; what is then asked for fails with its reason. */
  signal?: AbortSignal
  /** Told of each request that failed, and when the next may follow: for a log. While there is a good token, nobody else hears of it. */
  onFailure?: (error: unknown, nextTryAt: Date) => void
  /** In place of the global one: behind a proxy, or in a test. */
  fetch?: Fetch
}

interface BySecret {
  clientId: string
  /** Or a function that is asked before each request: for a secret in a file that may change. */
  clientSecret: string | (() => string | Promise<string>)
  credential?: never
}

interface ByCredential {
  /** Whatever else proves who asks: a client assertion, a subject token to exchange. */
  credential: Credential
  clientId?: never
  clientSecret?: never
}

export type TokenSourceOptions = CommonOptions & (BySecret | ByCredential)

export interface IssuedToken {
  readonly token: string
  /** At 80 % of its life. */
  readonly renewAt: Date
  readonly expiresAt: Date
}

export interface TokenSource {
  /**
   * A good token, the same until it has to be renewed.
   * @throws `TokenRefused` if waiting would not help; `TokenUnavailable` if waiting for `patienceSeconds` has not; what the
   * credential throws
   */
  token: () => Promise<string>
  /**
   * Fetches one that is newer than any before.
   * @param refused only if this is still the newest: callers whom an API refused together fetch one together
   * @throws as `token`; the token that was held before is then still held
   */
  renew: (refused?: string) => Promise<IssuedToken>
}

/** What a test moves. */
export interface World {
  clock: () => Date
  random: () => number
  /** @throws the reason of `signal` */
  sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>
}

const RENEW_AT = 0.8
export const realWorld: World = { clock: () => new Date(), random: Math.random, sleep }

export function startTokenSource (options: TokenSourceOptions, world: World = realWorld): TokenSource {
  const { patienceSeconds = 30, signal, onFailure = () => {} } = options
  const request = tokenRequest(options)
  const now = (): number => world.clock().getTime()

  let held: IssuedToken | undefined
  let asking: Promise<IssuedToken> | undefined
  let failures = 0
  let failure: unknown
  let quietUntil = -Infinity

  /** One request at a time: whoever comes meanwhile gets the same answer. */
  async function ask (): Promise<IssuedToken> {
    asking ??= askOnce().finally(() => { asking = undefined })
    return await asking
  }

  async function askOnce (): Promise<IssuedToken> {
    const askedAt = now() // its life began no sooner
    try {
      const { token, expiresInSeconds } = await requestToken(request)
      held = { token, renewAt: new Date(askedAt + RENEW_AT * expiresInSeconds * 1000), expiresAt: new Date(askedAt + expiresInSeconds * 1000) }
      failures = 0
      failure = undefined
      quietUntil = -Infinity
      return held
    } catch (error) {
      failure = error
      quietUntil = now() + 1000 * waitSeconds(failures++, error instanceof TokenUnavailable ? error.retryAfterSeconds : null, world.random())
      onFailure(error, new Date(quietUntil))
      throw error
    }
  }

  function renewBehind (): void {
    if (!asking && now() >= quietUntil) ask().catch(() => { /* onFailure has heard of it, and the one that is held is good */ })
  }

  /** Tries until there is a token newer than `before`, or no more sense in trying. */
  async function askPatiently (before: IssuedToken | undefined): Promise<IssuedToken> {
    const giveUpAt = now() + patienceSeconds * 1000
    for (;;) {
      signal?.throwIfAborted()
      const waitMs = failure instanceof TokenUnavailable && !asking ? Math.max(0, quietUntil - now()) : 0
      if (now() + waitMs > giveUpAt) throw failure
      if (waitMs > 0) await world.sleep(waitMs, signal)
      if (held && held !== before) return held
      try {
        return await ask()
      } catch (error) {
        if (!(error instanceof TokenUnavailable)) throw error
      }
    }
  }

  return {
    async token () {
      if (!held || now() >= held.expiresAt.getTime()) return (await askPatiently(held)).token
      if (now() >= held.renewAt.getTime()) renewBehind()
      return held.token
    },

    async renew (refused) {
      if (held && refused !== undefined && held.token !== refused) return held
      return await askPatiently(held)
    }
  }
}

function tokenRequest (options: TokenSourceOptions): TokenRequest {
  const { url, scopes = [], audiences = [], pipeline, run, allowHttp = false, timeoutSeconds = 10, signal, fetch = globalThis.fetch } = options
  const base = secureAddress('url', url, allowHttp)
  const form: Array<[string, string]> = [['grant_type', 'client_credentials']]
  if (scopes.length > 0) form.push(['scope', scopes.join(' ')])
  for (const audience of audiences) form.push(['audience', audience])
  if (pipeline !== undefined) form.push(['mintmark_pipeline', pipeline])
  if (run !== undefined) form.push(['mintmark_run', run])
  return { address: `${base.origin}${base.pathname.replace(/\/+$/, '')}/oauth/token`, form, credential: credentialOf(options), timeoutSeconds, fetch, signal }
}

function credentialOf (options: TokenSourceOptions): Credential {
  if (options.credential !== undefined) return options.credential
  const { clientId, clientSecret } = options as { clientId: unknown, clientSecret: unknown } // not everyone compiles
  if (typeof clientId !== 'string' || clientId === '') throw new TypeError('mintmark: clientId takes the name of a bot')
  if ((typeof clientSecret !== 'string' || clientSecret === '') && typeof clientSecret !== 'function') throw new TypeError('mintmark: clientSecret takes the bot\'s secret, or a function that returns it')
  return clientSecretBasic(clientId, clientSecret as string | (() => string))
}

async function sleep (milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>(resolve => {
    const timer = setTimeout(done, milliseconds)
    function done (): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    signal?.addEventListener('abort', done)
  })
  signal?.throwIfAborted()
}
