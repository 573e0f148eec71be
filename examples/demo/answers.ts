/** What came back: read, told to the reader, and held against what every answer of its kind must be. */
import assert from 'node:assert/strict'
import type { Principal } from 'mintmark'
import type { Answer } from './http.ts'
import { short, type Say } from './telling.ts'

export interface Rotation {
  signing: string
  next: string
}

export interface ListedKey {
  kid: string
  state: string
  revokedReason: string | null
}

/** Throws unless the answer is 200, and then shows what it is. @returns its body */
export function mustBeOk (say: Say, { status, body }: Answer): unknown {
  if (status !== 200) say.got(`${status} ${JSON.stringify(body)}`)
  assert.equal(status, 200)
  return body
}

/** The code of a problem (RFC 9457), for what is refused. */
export function codeOf (body: unknown): string {
  const { code } = body as { code?: unknown }
  return typeof code === 'string' ? code : 'without a code'
}

/** Throws unless `principal` is as `expected`, in what that names. */
export function principalOf (say: Say, principal: Principal, expected: Partial<Principal>): Principal {
  const { kind, name, tokenUse, email, roles, scopes } = principal
  say.got([`200 ${kind} ${name} by ${tokenUse} token`, email, ...roles, ...scopes].filter(Boolean).join(', '))
  assert.partialDeepStrictEqual(principal, expected)
  return principal
}

export function rotationOf (say: Say, answer: Answer): Rotation {
  const { signing, next } = mustBeOk(say, answer) as Rotation
  say.got(`200 key ${short(signing)} signs, key ${short(next)} waits`)
  return { signing, next }
}

/** @returns the kids that are published, in their order; throws if a key has more to it than its public half */
export function jwksOf (say: Say, answer: Answer): string[] {
  const { keys } = mustBeOk(say, answer) as { keys: Array<{ kid: string }> }
  const kids = keys.map(({ kid }) => kid)
  say.got(`200 keys ${kids.map(short).join(', ')}`)
  for (const key of keys) assert.deepEqual(Object.keys(key).sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use'])
  return kids
}

export function keysOf (say: Say, answer: Answer): ListedKey[] {
  return (mustBeOk(say, answer) as { keys: ListedKey[] }).keys
}
