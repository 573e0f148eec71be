/** What proves to the token endpoint who asks: a secret, or anything else that fits into a form or a header. */

/** Added to a token request. */
export interface Proof {
  /** Form parameters: a client assertion (RFC 7523), or grant and subject token of an exchange (RFC 8693). */
  readonly form?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Asked anew before each request, so that a file behind it may change, and an assertion is used once.
 * What it throws is thrown on to whoever wants a token, and not tried again.
 */
export type Credential = () => Proof | Promise<Proof>

/** `client_secret_basic`: both halves form-urlencoded before they are joined (RFC 6749 2.3.1), so that they are ASCII. */
export function clientSecretBasic (clientId: string, clientSecret: string | (() => string | Promise<string>)): Credential {
  return async () => {
    const secret = typeof clientSecret === 'string' ? clientSecret : await clientSecret()
    return { headers: { authorization: `Basic ${btoa(`${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`)}` } }
  }
}
