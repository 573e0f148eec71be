import { VerifyError } from './errors.ts'

const NAME = 'authorization'

/**
 * The token of the `Authorization` header (RFC 6750 2.1).
 * @param rawHeaders names and values by turns, as Node has them: two such headers are one too many, whoever comes next might read the other
 * @returns empty if there is no such header, or one of another scheme. Throws `request_invalid`.
 */
export function bearerToken (rawHeaders: readonly string[]): string {
  const [authorization = '', second] = authorizations(rawHeaders)
  if (second !== undefined) throw new VerifyError('request_invalid', 'Send one Authorization header')
  if (!SCHEME.test(authorization)) return ''
  const token = withoutBlanks(authorization.slice('Bearer '.length))
  if (token === '' || /\s/.test(token)) throw new VerifyError('request_invalid', 'The Authorization header takes the form "Bearer <token>"')
  return token
}

const SCHEME = /^Bearer(?: |$)/i

function withoutBlanks (text: string): string {
  return text.startsWith(' ') || text.endsWith(' ') ? text.replace(/^ +| +$/g, '') : text
}

export function isSentTwice (rawHeaders: readonly string[]): boolean {
  return authorizations(rawHeaders).length > 1
}

function authorizations (rawHeaders: readonly string[]): string[] {
  const values: string[] = []
  for (let place = 0; place < rawHeaders.length; place += 2) {
    const name = rawHeaders[place] ?? ''
    if (name.length === NAME.length && name.toLowerCase() === NAME) values.push(rawHeaders[place + 1] ?? '')
  }
  return values
}
