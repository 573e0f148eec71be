import { verify } from 'node:crypto'
import type { SignatureJudge } from './trusted-issuer.ts'

/**
 * Judges by one call of OpenSSL, for the doors that every request of an API passes (RFC 7515 5.2, RFC 7518 3.3: RS256).
 * The checks before it have seen to the form, to `alg`, and to which key it is; see docs/decisions/0031-own-judge.md.
 */
export const judgeSignature: SignatureJudge = (token, key) => {
  const dot = token.lastIndexOf('.')
  return verify('sha256', Buffer.from(token.slice(0, dot), 'latin1'), key.keyObject, Buffer.from(token.slice(dot + 1), 'base64url'))
}
