/** Whoever a verified token speaks for: a bot or a user, in one shape at every door. */
import { remembering } from './remembering.ts'

export interface Principal {
  kind: 'bot' | 'user'
  /** For display and ownership; whoever authorises people uses `issuer` and `subject`. */
  name: string
  email: string | null
  issuer: string
  subject: string
  clientId: string | null
  audience: string[]
  roles: string[]
  groups: string[]
  scopes: string[]
  admin: boolean
  legacy: boolean
  tokenUse: 'access' | 'id'
  tokenId: string | null
  /** What a bot's token was asked for; `null` where nothing was. */
  pipeline: string | null
  runId: string | null
  /** ISO 8601 UTC. */
  issuedAt: string | null
  expiresAt: string | null
  /** The verified payload. */
  claims: Record<string, unknown>
}

/** One that is remembered, and read by all. */
export type SharedPrincipal = { readonly [Field in keyof Principal]: Principal[Field] extends string[] ? readonly string[] : Readonly<Principal[Field]> }

/** For somebody who may do with it what he likes. */
export function copyOf (principal: SharedPrincipal): Principal {
  const { audience, roles, groups, scopes, claims } = principal
  return { ...principal, audience: audience.slice(), roles: roles.slice(), groups: groups.slice(), scopes: scopes.slice(), claims: copyOfClaims(claims) }
}

/** JSON, all the way down. A spread copies `__proto__` as the claim that it is. */
function copyOfClaims (claims: SharedPrincipal['claims']): Principal['claims'] {
  const copy = { ...claims }
  for (const claim in copy) if (isNested(copy[claim])) copy[claim] = copyOfNested(copy[claim])
  return copy
}

function copyOfNested (value: unknown): unknown {
  if (!isNested(value)) return value
  return Array.isArray(value) ? value.map(copyOfNested) : copyOfClaims(value as Principal['claims'])
}

function isNested (value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

/** @param seconds since the epoch, as claims have it */
export function isoDate (seconds: unknown): string | null {
  if (typeof seconds !== 'number') return null
  return Number.isInteger(seconds) ? wholeSeconds(seconds) : written(seconds)
}

/** Minutes as they begin in ISO 8601: tokens have few of them, and `Date` takes its time for each. */
const beginningOf = remembering(10_000, (minute: number) => written(minute * 60)?.slice(0, -'00.000Z'.length))

function wholeSeconds (seconds: number): string | null {
  const minute = Math.floor(seconds / 60)
  const beginning = beginningOf(minute)
  return beginning === undefined ? null : `${beginning}${String(seconds - minute * 60).padStart(2, '0')}.000Z`
}

function written (seconds: number): string | null {
  const date = new Date(seconds * 1000)
  return Number.isNaN(date.getTime()) ? null : date.toISOString()
}

export function stringOrNull (value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

/** @returns the list itself where all of it is text */
export function stringsOf (value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value) && value.every(item => typeof item === 'string')) return value
  const values: unknown[] = Array.isArray(value) ? value : [value]
  return values.filter(item => typeof item === 'string')
}
