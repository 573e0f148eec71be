/** A revocation feed as it was fetched: read, and judged by a key of its issuer. When one takes the place of another is decided here too. */
import type { VerificationKey } from '../keys/verification-key.ts'
import { FEED_TYPE, type FeedClaims } from '../tokens/claims.ts'
import { decodeUnverified, type JsonObject } from './compact-token.ts'
import { judgeByJose } from './jose-judge.ts'

export interface Feed extends FeedClaims {
  /** The key that signed it. */
  readonly signer: string
}

export interface FeedJudge {
  issuer: string
  /** Gives the issuer's key, fetched anew if need be; `undefined`: there is none, or it is revoked. */
  findKey: (kid: string) => Promise<VerificationKey | undefined>
  now: Date
  clockToleranceSeconds: number
}

/**
 * Throws unless `text` is a feed of that issuer. One that is over is read all the same: what it says was true once,
 * and nobody relies on it for more than its word.
 */
export async function readFeed (text: string, { issuer, findKey, now, clockToleranceSeconds }: FeedJudge): Promise<Feed> {
  const { header: { alg, typ, kid }, payload } = decodeUnverified(text)
  if (alg !== 'RS256' || typ !== FEED_TYPE || typeof kid !== 'string') throw new Error(`it is no JWT of typ ${FEED_TYPE}`)
  const key = await findKey(kid)
  if (!key) throw new Error('the issuer has no such key, or it was revoked')
  if (!await judgeByJose(text, key, 'bot')) throw new Error('its signature does not match')
  if (payload.iss !== issuer) throw new Error(`it is about tokens of ${String(payload.iss)}, not of ${issuer}`)
  if (!isFeed(payload)) throw new Error('it lacks something, or has it in another form')
  if (payload.iat - clockToleranceSeconds > now.getTime() / 1000) throw new Error('it is from the future: compare the clocks')
  return { ...payload, signer: kid }
}

/**
 * True if `next` takes the place of `held`. An older one is a replay, or comes from a replica that lags.
 * But nothing is older than one that is over, as after a restore from a backup; nor than one whose signer was revoked since.
 */
export function supersedes (next: Feed, held: Feed, now: Date): boolean {
  if (isOver(held, now) || next.keys.includes(held.signer)) return true
  return next.version === held.version ? next.iat >= held.iat : next.version > held.version
}

export function isOver (feed: Feed, now: Date): boolean {
  return feed.exp <= now.getTime() / 1000
}

type Form = (value: unknown) => boolean
const isText: Form = value => typeof value === 'string'
const isNumber: Form = value => typeof value === 'number' && Number.isFinite(value)
const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)
const listOf = (isGood: Form): Form => value => Array.isArray(value) && value.every(isGood)
const record = (forms: Record<string, Form>): Form => value => isObject(value) && Object.entries(forms).every(([name, isGood]) => isGood(value[name]))
const numbersByName: Form = value => {
  if (!isObject(value)) return false
  for (const name in value) if (!isNumber(value[name])) return false
  return true
}

const FORMS: Record<keyof FeedClaims, Form> = {
  iss: isText,
  iat: isNumber,
  exp: isNumber,
  version: isNumber,
  keys: listOf(isText),
  bots: numbersByName,
  disabled: listOf(isText),
  runs: listOf(record({ bot: isText, run: isText, until: isNumber })),
  tokens: numbersByName,
  legacy: listOf(record({ issuer: isText, kid: isText, n: isText, e: isText, verifiesUntil: isNumber }))
}

function isFeed (payload: JsonObject): payload is JsonObject & FeedClaims {
  return record(FORMS)(payload)
}
