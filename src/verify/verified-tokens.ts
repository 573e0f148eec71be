/**
 * Tokens whose signature was found good before, so that RSA is done once a token and not once a request (but for requests that
 * bring a new one at the very same time).
 *
 * An entry says one thing that no later moment makes untrue: these exact bytes bear a good signature of this very key. And one
 * that is true for as long as nothing else is heard: in this edition of the revocations there is nothing against it.
 * Whether the token is good now (times, key, audience, whether that edition is in force, …) is judged anew for each request, by the checks.
 * Nothing gets in but by a good signature: a flood of forgeries leaves no trace. The end of the signature finds an entry, and the
 * whole token has to be the same; why no digest stands for it is told in docs/decisions/0030-what-verifying-costs.md.
 */
import { getHeapStatistics } from 'node:v8'
import type { VerificationKey } from '../keys/verification-key.ts'
import type { JsonObject, KnownHeaders, UnverifiedToken } from './compact-token.ts'
import type { SharedPrincipal } from './principal.ts'
import { remembering } from './remembering.ts'

export interface VerifiedToken extends UnverifiedToken {
  /** That made the signature: this object, not another one of its kid. */
  readonly key: VerificationKey
  /** Whom it speaks for as far as it says itself: filled in by whoever has asked it first. */
  principal: SharedPrincipal | null
  /** The edition of the revocations that it was looked up in last, and is not revoked in: looking it up there again would find the same. */
  unrevokedIn: object | null
  /** The same, for its bot's not being switched off. */
  enabledIn: object | null
}

export interface JudgedToken extends UnverifiedToken {
  readonly raw: string
  readonly key: VerificationKey
  readonly now: Date
}

export interface VerifiedTokens {
  /** @returns what is remembered, not a copy: to be read */
  recall: (token: string, now: Date) => VerifiedToken | undefined
  /** To be called when a judge has found the signature good, and never else. */
  remember: (token: JudgedToken) => void
  /** Headers of tokens whose signature was good, by their first part: few, and they need no parsing. */
  headers: KnownHeaders
  /** The key is in force no more: neither are its tokens. */
  dropKey: (key: VerificationKey) => void
  /** How many there are, and about how many bytes they take. */
  held: () => { tokens: number, bytes: number }
}

export interface Bounds {
  tokens: number
  bytes: number
}

/**
 * 70,000 living tokens of a usual size fit into one half: a cache that is smaller than what goes round is of no use.
 * A process with little memory gives a quarter of its heap at most.
 */
const BOUNDS: Bounds = { tokens: 200_000, bytes: Math.min(256 * 1024 * 1024, getHeapStatistics().heap_size_limit / 4) }
const SWEEP_EVERY_MS = 60_000
const MOST_HEADERS = 1_000
/** A token says the bot's name three times, and what its issuer and audience are, as all others do: each text is kept once. */
const REPEATED = ['iss', 'sub', 'aud', 'client_id', 'scope', 'email', 'preferred_username', 'tokenType', 'token_use', 'cognito:username']
const MOST_TEXTS = 10_000
const LONGEST_SHARED = 256

const PLACING = 16

/**
 * A number of 32 bits from the end of the signature, to find the one token that ends so: of a text V8 would have to make one, too.
 * Of two tokens that share it (among 100,000 there is one such pair, or so), the one that came last is remembered.
 */
function placeOf (token: string): number {
  let place = 0
  for (let end = token.length - PLACING; end < token.length; end++) place = Math.imul(place, 31) + token.charCodeAt(end) | 0
  return place
}

/**
 * The least recently used go first, by halves: what is asked for moves from the older half to the younger one, and when that
 * is full, whatever still lies in the older one is dropped. A hit then costs one look, or two.
 */
export function createVerifiedTokens (bounds: Bounds = BOUNDS): VerifiedTokens {
  const headers = new Map<string, JsonObject>()
  const shared = remembering(MOST_TEXTS, (text: string) => text)
  let younger = createHalf()
  let older = createHalf()
  let sweptAt = 0

  function keep (place: number, entry: Entry): void {
    if (entry.bytes > bounds.bytes / 2) return
    if (younger.count() >= bounds.tokens / 2 || younger.bytes() + entry.bytes > bounds.bytes / 2) {
      older = younger
      younger = createHalf()
    }
    younger.put(place, entry)
  }

  /** Each key has one header, or two: more is somebody's play. */
  function keepHeader (part: string, header: JsonObject): void {
    if (headers.has(part)) return
    if (headers.size >= MOST_HEADERS) headers.clear()
    headers.set(copyOfText(part), header)
  }

  function shareTexts (payload: JsonObject): void {
    for (const claim of REPEATED) {
      const text = payload[claim]
      if (typeof text === 'string' && text.length <= LONGEST_SHARED) payload[claim] = shared(text)
    }
  }

  /** Also what nobody asks for again goes when its time is over. */
  function sweep (now: number): void {
    if (Math.abs(now - sweptAt) < SWEEP_EVERY_MS) return
    sweptAt = now
    younger.drop(entry => entry.endsAt <= now)
    older.drop(entry => entry.endsAt <= now)
  }

  return {
    headers,
    recall (token, now) {
      sweep(now.getTime())
      const place = placeOf(token)
      const young = younger.get(place)
      const entry = young ?? older.get(place)
      if (entry?.raw !== token || entry.endsAt <= now.getTime()) return undefined // one that has ended goes with the next sweep
      if (!young) {
        older.take(place)
        keep(place, entry)
      }
      return entry
    },
    remember ({ raw, header, payload, key, now }) {
      const endsAt = endOf(payload)
      if (endsAt <= now.getTime()) return
      keepHeader(raw.slice(0, raw.indexOf('.')), header)
      shareTexts(payload)
      const place = placeOf(raw)
      older.take(place)
      keep(place, { raw, header, payload, key, principal: null, unrevokedIn: null, enabledIn: null, endsAt, bytes: bytesOf(raw) })
    },
    dropKey (key) {
      younger.drop(entry => entry.key === key)
      older.drop(entry => entry.key === key)
    },
    held: () => ({ tokens: younger.count() + older.count(), bytes: younger.bytes() + older.bytes() })
  }
}

/** A part that is cut out of a text keeps all of it in memory: here a token, past its end. */
function copyOfText (part: string): string {
  return Buffer.from(part, 'latin1').toString('latin1')
}

interface Entry extends VerifiedToken {
  readonly raw: string
  /** Milliseconds since the epoch. */
  readonly endsAt: number
  readonly bytes: number
}

interface Half {
  /** By {@link placeOf}, as below. */
  get: (place: number) => Entry | undefined
  put: (place: number, entry: Entry) => void
  /** Takes it out. */
  take: (place: number) => Entry | undefined
  drop: (isOver: (entry: Entry) => boolean) => void
  count: () => number
  bytes: () => number
}

function createHalf (): Half {
  const entries = new Map<number, Entry>()
  let bytes = 0

  function take (place: number): Entry | undefined {
    const entry = entries.get(place)
    if (!entry) return undefined
    entries.delete(place)
    bytes -= entry.bytes
    return entry
  }

  return {
    get: place => entries.get(place),
    put (place, entry) {
      take(place)
      entries.set(place, entry)
      bytes += entry.bytes
    },
    take,
    drop (isOver) { for (const [place, entry] of entries) if (isOver(entry)) take(place) },
    count: () => entries.size,
    bytes: () => bytes
  }
}

/** A token without `exp` lasts as long as its key, which is found anew each time. */
function endOf ({ exp }: JsonObject): number {
  return typeof exp === 'number' ? exp * 1000 : Infinity
}

/** The token, its claims and its principal as objects, and the entry. */
function bytesOf (token: string): number {
  return 900 + token.length
}
