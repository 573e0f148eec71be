/**
 * What an issuer elsewhere has taken back, by its revocation feed: fetched one at a time, kept while the issuer is away,
 * and relied on for as long as it says itself. It owns what is held; when it is fetched ahead of need is the plugin's business.
 */
import { createLegacyLookups, type LegacyLookups, type LegacyPublicKey } from '../keys/legacy-key.ts'
import type { Clock } from '../keys/signing-key.ts'
import type { Revocations } from '../tokens/revocations.ts'
import { isOver, readFeed, supersedes, type Feed } from './feed-document.ts'
import type { Get } from './http-get.ts'
import type { RemoteKeys } from './remote-keys.ts'

export interface RemoteRevocations extends Pick<Revocations, 'isStale' | 'isBotDisabled' | 'isTokenRevoked' | 'isRunRevoked' | 'notBefore' | 'edition'> {
  isKeyRevoked: (kid: string) => boolean
  /** Keys of other servers whose tokens the issuer vouches for. */
  legacyKeys: LegacyLookups
  /** True once there was a feed, even if it is over by now. */
  hasFeed: () => boolean
  /** Fetches the feed now. @returns whether that worked */
  refresh: () => Promise<boolean>
  /** If nothing is held that may be relied on: waits a moment for a feed, and asks for one unless that was just tried. */
  settle: () => Promise<void>
  /** The same, if nothing was heard since a moment, in seconds since the epoch. */
  hearSince: (moment: number) => Promise<void>
  /** For how long a feed may be relied on when it is new; `Infinity` while none is known. */
  lifeSeconds: () => number
}

export interface RemoteRevocationsParts {
  uri: string
  issuer: string
  keys: Pick<RemoteKeys, 'held' | 'refresh'>
  clock: Clock
  clockToleranceSeconds: number
  get: Get
  onFetched?: (outcome: { error?: unknown }) => void
}

const TIMEOUT_MS = 10_000
/** Some 600,000 revoked tokens. */
const LARGEST_FEED_BYTES = 32 * 1024 * 1024
const LONGEST_WAIT_MS = 4_000
const RETRY_SECONDS = 1

export function createRemoteRevocations (parts: RemoteRevocationsParts): RemoteRevocations {
  const { uri, issuer, keys, clock, clockToleranceSeconds, get, onFetched } = parts
  let held: Held | undefined
  let fetching: Promise<boolean> | undefined
  let heardAt = -Infinity
  let quietUntil = -Infinity

  const seconds = (): number => clock().getTime() / 1000
  const isStale = (now = clock()): boolean => !held || isOver(held.feed, now)

  /** A key that was revoked signs no feed; one that is not in hand yet may be new, as after an emergency. */
  async function findKey (kid: string): Promise<ReturnType<RemoteKeys['held']>> {
    if (held?.keys.has(kid)) return undefined
    if (!keys.held(kid)) await keys.refresh()
    return keys.held(kid)
  }

  async function take (text: string, etag: string | null): Promise<void> {
    const now = clock()
    const feed = await readFeed(text, { issuer, findKey, now, clockToleranceSeconds })
    if (held && !supersedes(feed, held.feed, now)) return
    const hasChanged = held !== undefined && feed.version !== held.feed.version
    held = hold(feed, etag)
    if (hasChanged) await keys.refresh() // a key may have been added: it is in hand before it signs
  }

  async function fetchFeed (): Promise<boolean> {
    let failure: unknown
    const askedAt = seconds()
    try {
      const page = await get(uri, { accept: 'application/jwt', etag: held?.etag ?? null, timeoutMs: TIMEOUT_MS, largestBytes: LARGEST_FEED_BYTES })
      if (page.status === 200) await take(page.text.trim(), page.etag)
      else if (page.status !== 304) throw new Error(`${uri} answered ${page.status}`)
      heardAt = askedAt
    } catch (error) {
      failure = error
    }
    if (failure !== undefined || isStale()) quietUntil = seconds() + RETRY_SECONDS
    fetching = undefined
    onFetched?.(failure === undefined ? {} : { error: failure })
    return failure === undefined
  }

  const refresh = async (): Promise<boolean> => await (fetching ??= fetchFeed())

  async function ask (): Promise<void> {
    if (fetching ?? seconds() >= quietUntil) await atMost(LONGEST_WAIT_MS, refresh())
  }

  return {
    isStale,
    isBotDisabled: name => held?.disabled.has(name) ?? false,
    isTokenRevoked: jti => held?.tokens.has(jti) ?? false,
    isRunRevoked: (bot, run) => held?.runs.has(keyOf(bot, run)) ?? false,
    notBefore: name => held?.bots.get(name) ?? 0,
    edition: () => held?.edition ?? NOTHING,
    isKeyRevoked: kid => held?.keys.has(kid) ?? false,
    legacyKeys: createLegacyLookups(() => held?.legacy ?? [], clock),
    hasFeed: () => held !== undefined,
    refresh,
    settle: async () => { if (isStale()) await ask() },
    hearSince: async moment => { if (heardAt <= moment) await ask() },
    lifeSeconds: () => held ? held.feed.exp - held.feed.iat : Infinity
  }
}

/** The edition of whoever holds no feed. */
const NOTHING = {}

/** A feed, in the forms that it is asked in. */
interface Held {
  feed: Feed
  /** Stands for it with whoever remembers what it said, and keeps nothing of it in memory. */
  edition: object
  etag: string | null
  keys: ReadonlySet<string>
  bots: ReadonlyMap<string, number>
  disabled: ReadonlySet<string>
  tokens: ReadonlySet<string>
  runs: ReadonlySet<string>
  legacy: readonly LegacyPublicKey[]
}

function hold (feed: Feed, etag: string | null): Held {
  const keys = new Set(feed.keys)
  const legacy = feed.legacy.map(({ kid, issuer, n, e, verifiesUntil }) => {
    const until = new Date(verifiesUntil * 1000)
    return { kid, issuer, publicKey: { n, e }, verifiesUntil: until, revokedAt: keys.has(kid) ? until : null }
  })
  return { feed, edition: {}, etag, keys, bots: new Map(Object.entries(feed.bots)), disabled: new Set(feed.disabled), tokens: new Set(Object.keys(feed.tokens)), runs: new Set(feed.runs.map(({ bot, run }) => keyOf(bot, run))), legacy }
}

const keyOf = (bot: string, run: string): string => `${bot} ${run}`

async function atMost (milliseconds: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeIsUp = new Promise<void>(resolve => { timer = setTimeout(resolve, milliseconds) })
  await Promise.race([work, timeIsUp])
  clearTimeout(timer)
}
