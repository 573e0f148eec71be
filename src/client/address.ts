import { isLoopback } from '../loopback.ts'

/** Tokens and secrets travel there: https, but for this machine or where plain http was allowed. Throws `TypeError`. */
export function secureAddress (option: string, address: unknown, allowHttp: boolean): URL {
  const url = typeof address === 'string' ? URL.parse(address) : null
  const secure = url?.protocol === 'https:' || (url?.protocol === 'http:' && (allowHttp || isLoopback(url.href)))
  if (url && secure && url.username === '' && url.password === '') return url
  throw new TypeError(`mintmark: ${option} takes an https address (http on loopback, or with allowHttp) without user and password`)
}
