/** A `fetch` that carries a bot's token to one origin, and only there. */
import { secureAddress } from './address.ts'
import type { Fetch } from './token-request.ts'
import type { TokenSource } from './token-source.ts'

export interface AuthorizedFetchOptions {
  /** Where the token may go, `https://metadata.example.com`: https, but for loopback or with `allowHttp`. Paths start there. */
  origin: string
  /** Plain http to the origin, on a private network. */
  allowHttp?: boolean
  /** In place of the global one. On a redirect to another origin it must drop `Authorization`, as the Fetch standard asks. */
  fetch?: Fetch
}

/**
 * `fetch`, with the token of `source` in `Authorization`. On a 401 it takes a new token and tries once more. If there is none, or
 * if the body was a stream, which cannot be sent twice, the answer is the 401, and a later call has the new token.
 * A request to another origin is refused with a `TypeError`: a token is shown to nobody whom it is not meant for.
 * @throws what `fetch` throws, and what `source.token()` throws
 */
export function fetchWithToken (source: TokenSource, options: AuthorizedFetchOptions): Fetch {
  const { fetch = globalThis.fetch } = options
  const { origin } = secureAddress('origin', options.origin, options.allowHttp ?? false)
  /** Refused although it was new: another would not help. */
  let hopeless: string | undefined

  return async (input, init) => {
    const target = input instanceof Request ? input : new URL(input, origin)
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined)
    assertOrigin(target, origin)

    const send = async (token: string): Promise<Response> => {
      const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined))
      headers.set('authorization', `Bearer ${token}`)
      return await fetch(target, { ...init, headers })
    }

    const token = await unlessAborted(source.token(), signal)
    const response = await send(token)
    if (response.status !== 401) hopeless = undefined
    if (response.status !== 401 || cameFromElsewhere(response, origin) || token === hopeless) return response

    const renewing = source.renew(token)
    if (!canBeSentAgain(input, init)) {
      renewing.catch(() => { /* the next call asks anew */ })
      return response
    }
    const renewed = await unlessAborted(renewing.catch(() => null), signal)
    if (!renewed) return response
    await response.body?.cancel()
    const second = await send(renewed.token)
    if (second.status === 401) hopeless = renewed.token
    return second
  }
}

function assertOrigin (target: URL | Request, allowed: string): void {
  const { origin } = new URL(target instanceof Request ? target.url : target)
  if (origin !== allowed) throw new TypeError(`mintmark: this fetch carries a token for ${allowed}, and does not take it to ${origin}`)
}

/** After a redirect to another origin the token was not with it: nothing is wrong with the token. */
function cameFromElsewhere ({ redirected, url }: Response, origin: string): boolean {
  return redirected && new URL(url).origin !== origin
}

function canBeSentAgain (input: string | URL | Request, init: RequestInit | undefined): boolean {
  const body: unknown = init?.body ?? (input instanceof Request ? input.body : null)
  return body === null || typeof body === 'string' || ArrayBuffer.isView(body) || REPLAYABLE.some(kind => body instanceof kind)
}

const REPLAYABLE = [URLSearchParams, FormData, Blob, ArrayBuffer]

async function unlessAborted<T> (promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return await promise
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => { reject(signal.reason as Error) }
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
