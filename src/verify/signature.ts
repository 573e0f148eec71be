import { verify } from 'node:crypto'
import type { VerificationKey } from '../keys/verification-key.ts'

/**
 * Judges by one call of OpenSSL, for the doors that every request of an API passes (RFC 7515 5.2, RFC 7518 3.3: RS256).
 * The checks before it have seen to the form, to `alg`, and to which key it is; see docs/decisions/0031-own-judge.md.
 */
export function judgeSignature (token: string, key: VerificationKey): boolean {
  const dot = token.lastIndexOf('.')
  return verify('sha256', Buffer.from(token.slice(0, dot), 'latin1'), key.keyObject, Buffer.from(token.slice(dot + 1), 'base64url'))
}

/** This one, also where a test puts its own clock in the place of Node's timers. */
const atEndOfTurn = setImmediate
let turn: Promise<void> | undefined

/**
 * Judges likewise, as soon as this turn of the event loop has read all that came in: tokens that came together are judged in a
 * row, one microtask after the other. Between parsers and sockets each judgement would find OpenSSL's code out of the
 * processor's caches, and take half as long again (docs/decisions/0030-what-verifying-costs.md).
 */
export async function judgeInARow (token: string, key: VerificationKey): Promise<boolean> {
  turn ??= new Promise(resolve => {
    atEndOfTurn(() => {
      turn = undefined
      resolve()
    })
  })
  await turn
  return judgeSignature(token, key)
}
