/** Why there is no token: two classes, since a caller can do two things about it: wait, or mend something. */

/** Waiting mends it: the service is away, overloaded, or asks for patience (RFC 6749 `temporarily_unavailable`, `slow_down`). */
export class TokenUnavailable extends Error {
  /** What the service asked for by `Retry-After`; `null`: nothing. */
  readonly retryAfterSeconds: number | null

  constructor (message: string, options: { retryAfterSeconds?: number | null, cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.name = 'TokenUnavailable'
    this.retryAfterSeconds = options.retryAfterSeconds ?? null
  }
}

/** Waiting does not mend it: someone has to look at the credential, at what was asked for, or at the address. */
export class TokenRefused extends Error {
  /** RFC 6749 5.2, as the service says it (`invalid_client`, `invalid_scope`, …); `unexpected_answer`: no token endpoint answered. */
  readonly code: string
  /** Of the HTTP answer. */
  readonly status: number

  constructor (code: string, status: number, message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.name = 'TokenRefused'
    this.code = code
    this.status = status
  }
}
