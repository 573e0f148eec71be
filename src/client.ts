/** The package's face for pipelines in TypeScript: a bot's token, always a good one, and a `fetch` that carries it. */
import { startTokenSource, type TokenSource, type TokenSourceOptions } from './client/token-source.ts'

export { fetchWithToken, type AuthorizedFetchOptions } from './client/fetch-with-token.ts'
export { TokenRefused, TokenUnavailable } from './client/token-error.ts'
export type { Credential, Proof } from './client/credential.ts'
export type { IssuedToken, TokenSource, TokenSourceOptions } from './client/token-source.ts'

/**
 * A bot's tokens, fetched at `<url>/oauth/token` when they are needed, one request at a time, and kept. Nothing is fetched before
 * the first {@link TokenSource.token}, and nothing runs between calls: there is nothing to close.
 * @throws `TypeError` with a sentence if `options` cannot be right
 */
export function createTokenSource (options: TokenSourceOptions): TokenSource {
  return startTokenSource(options)
}
