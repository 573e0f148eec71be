import { VerifyError } from './errors.ts'

/**
 * The token of the `Authorization` header (RFC 6750 2.1).
 * @param rawHeaders names and values by turns, as Node has them: two such headers are one too many, whoever comes next might read the other
 * @returns empty if there is no such header, or one of another scheme. Throws `request_invalid`.
 */
export function bearerToken (rawHeaders: readonly string[]): string {
  if (isSentTwice(rawHeaders)) throw new VerifyError('request_invalid', 'Send one Authorization header')
  const [authorization = ''] = authorizations(rawHeaders)
  if (!/^Bearer(?: |$)/i.test(authorization)) return ''
  const [, token] = /^Bearer +([^\s]+) *$/i.exec(authorization) ?? []
  if (token === undefined) throw new VerifyError('request_invalid', 'The Authorization header takes the form "Bearer <token>"')
  return token
}

export function isSentTwice (rawHeaders: readonly string[]): boolean {
  return authorizations(rawHeaders).length > 1
}

function authorizations (rawHeaders: readonly string[]): string[] {
  return rawHeaders.filter((_, place) => place % 2 === 1 && rawHeaders[place - 1]?.toLowerCase() === 'authorization')
}
