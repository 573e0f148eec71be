/** One request to the token endpoint (RFC 6749 4.4.2, RFC 8707), and what its answer means. */
import type { Credential } from './credential.ts'
import { TokenRefused, TokenUnavailable } from './token-error.ts'

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

export interface TokenRequest {
  /** The token endpoint's. */
  address: string
  /** Sent with each request, unless the credential says otherwise. */
  form: ReadonlyArray<[name: string, value: string]>
  credential: Credential
  timeoutSeconds: number
  fetch: Fetch
  /** Ends it before its time. */
  signal: AbortSignal | undefined
}

interface Answer {
  access_token: string
  token_type: string
  expires_in: number
}

/** Throws {@link TokenUnavailable}, {@link TokenRefused}, what the credential throws, or the reason of `signal`. */
export async function requestToken (request: TokenRequest): Promise<{ token: string, expiresInSeconds: number }> {
  const proof = await request.credential()
  const timeout = AbortSignal.timeout(request.timeoutSeconds * 1000)
  const init: RequestInit = {
    method: 'POST',
    headers: { accept: 'application/json', ...proof.headers },
    body: formOf(request.form, proof.form ?? {}),
    redirect: 'manual', // a credential is for this address and no other
    signal: request.signal ? AbortSignal.any([timeout, request.signal]) : timeout
  }
  try {
    return await readAnswer(request.address, await request.fetch(request.address, init))
  } catch (error) {
    request.signal?.throwIfAborted()
    if (error instanceof TokenRefused || error instanceof TokenUnavailable) throw error
    const why = timeout.aborted ? `it did not answer within ${request.timeoutSeconds} s` : messageOf(error)
    throw new TokenUnavailable(`${request.address} cannot be reached: ${why}`, { cause: error })
  }
}

function formOf (always: TokenRequest['form'], proof: Readonly<Record<string, string>>): URLSearchParams {
  return new URLSearchParams([...always.filter(([name]) => !Object.hasOwn(proof, name)), ...Object.entries(proof)])
}

async function readAnswer (address: string, response: Response): Promise<{ token: string, expiresInSeconds: number }> {
  const { status, headers } = response
  if (status >= 300 && status < 400) {
    await response.body?.cancel()
    throw new TokenRefused('unexpected_answer', status, `${address} redirects to ${headers.get('location') ?? 'nowhere'}: give the address that it redirects to, if it is the service's`)
  }
  const answer = parseObject(await response.text())
  if (status === 408 || status === 429 || status >= 500) {
    throw new TokenUnavailable(`${address} answered ${status}${describe(answer)}`, { retryAfterSeconds: retryAfterSeconds(headers.get('retry-after'), headers.get('date')) })
  }
  if (status === 200 && isToken(answer)) return { token: answer.access_token, expiresInSeconds: answer.expires_in }
  if (status !== 200 && typeof answer.error === 'string') throw new TokenRefused(answer.error, status, `${address} refused${describe(answer)}`)
  throw new TokenRefused('unexpected_answer', status, `${address} answered ${status} and is no token endpoint: is this the address of the service?`)
}

function isToken (answer: object): answer is Answer {
  const { access_token: token, token_type: type, expires_in: seconds } = answer as Partial<Answer>
  return typeof token === 'string' && /^[\x21-\x7E]+$/.test(token) && typeof type === 'string' && /^bearer$/i.test(type) && typeof seconds === 'number' && seconds > 0
}

function parseObject (text: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null ? parsed as Record<string, unknown> : {}
  } catch {
    return {}
  }
}

function describe ({ error, error_description: description }: Record<string, unknown>): string {
  if (typeof error !== 'string') return ''
  return typeof description === 'string' ? `: ${error}, ${description}` : `: ${error}`
}

/** Seconds, or a date (RFC 9110 10.2.3), which counts from the server's own. */
function retryAfterSeconds (header: string | null, date: string | null): number | null {
  if (header === null) return null
  if (/^\d+$/.test(header)) return Number(header)
  const seconds = (Date.parse(header) - Date.parse(date ?? '')) / 1000
  return Number.isNaN(seconds) ? null : Math.max(0, seconds)
}

/** Node.js says "fetch failed", and why in the cause. */
function messageOf (error: unknown): string {
  const { message, cause } = error as Error
  if (cause instanceof AggregateError && cause.errors[0] instanceof Error) return cause.errors[0].message
  return cause instanceof Error && cause.message !== '' ? cause.message : message
}
