import { VerifyError } from './errors.ts'

/**
 * The token of an `Authorization` header (RFC 6750 2.1).
 * @returns empty if there is no header, or one of another scheme. Throws `request_invalid`.
 */
export function bearerToken (authorization: string | undefined): string {
  if (authorization === undefined || !/^Bearer(?: |$)/i.test(authorization)) return ''
  const [, token] = /^Bearer +([^\s]+) *$/i.exec(authorization) ?? []
  if (token === undefined) throw new VerifyError('request_invalid', 'The Authorization header takes the form "Bearer <token>"')
  return token
}
