/**
 * The revocation feed: what has been taken back, as one signed document that verifiers elsewhere fetch beside the JWKS.
 * It says itself until when it may be relied on. Rendered when something changes, and before its promise nears its end;
 * served as bytes. While the database is away it stays as it is: nobody knows what would have to be in a newer one.
 */
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { KeyRing } from '../keys/key-ring.ts'
import type { KeyVault } from '../keys/key-vault.ts'
import type { LegacyRing } from '../keys/legacy-key.ts'
import type { Clock, SigningKey } from '../keys/signing-key.ts'
import { FEED_TYPE, type FeedClaims } from './claims.ts'
import { signCompact } from './compact.ts'
import type { HeldRevocations, Revocations } from './revocations.ts'

export interface RenderedFeed {
  /** A JWT, in Compact Serialization. */
  readonly body: Buffer
  /** Strong, quoted (RFC 9110 8.8.3). */
  readonly etag: string
}

export interface FeedParts {
  ring: Pick<KeyRing, 'all' | 'signing'>
  legacyRing: Pick<LegacyRing, 'all'>
  revocations: Pick<Revocations, 'held'>
  /** Of what is held in memory: its version, and when the database last said that there is none newer. */
  changes: { version: () => number, secondsSinceSeen: () => number }
  vault: Pick<KeyVault, 'sign'>
  policy: { readonly issuer: string, readonly maxStalenessSeconds: number }
  clock: Clock
  /** Told of each rendering that failed; the feed from before is served on. */
  onFailure: (error: unknown) => void
}

/** There is no feed yet, and none can be signed now. */
export class NoFeed extends Error {
  constructor (options?: ErrorOptions) {
    super('no key signs, so that there is no revocation feed yet', options)
    this.name = 'NoFeed'
  }
}

/** A feed is rendered anew this often at least while the database answers: a quarter of its promise. */
const RENEWALS = 4
/** After a failure: not every request tries again. */
const RETRY_SECONDS = 1
/** So many take a millisecond: others get their turn in between. */
const TOKENS_A_TURN = 1_000

/** @returns a function that gives the feed as it is now. Throws {@link NoFeed} */
export function createRevocationFeed (parts: FeedParts): () => Promise<RenderedFeed> {
  const { ring, changes, clock, policy } = parts
  let rendered: RenderedFeed & { state: FeedState } | undefined
  let rendering: Promise<void> | undefined
  let failure: unknown
  let quietUntil = -Infinity

  function stateNow (): FeedState {
    return { version: changes.version(), signer: ring.signing(), seenAt: clock().getTime() / 1000 - changes.secondsSinceSeen() }
  }

  function isCurrent (): boolean {
    const state = stateNow()
    if (!state.signer || clock().getTime() / 1000 < quietUntil) return true // nothing better can be had
    return rendered?.state.version === state.version && rendered.state.signer?.kid === state.signer.kid &&
      state.seenAt - rendered.state.seenAt < policy.maxStalenessSeconds / RENEWALS
  }

  async function render (): Promise<void> {
    try {
      const state = stateNow()
      rendered = { ...await renderFeed(state, parts), state }
    } catch (error) {
      failure = error
      parts.onFailure(error)
      quietUntil = clock().getTime() / 1000 + RETRY_SECONDS
    } finally {
      rendering = undefined
    }
  }

  return async () => {
    await rendering // which may be of a state from before
    if (!isCurrent()) await (rendering ??= render())
    if (!rendered) throw new NoFeed({ cause: failure })
    return rendered
  }
}

interface FeedState {
  version: number
  /** The key that signs now. */
  signer: SigningKey | undefined
  /** When the database was last seen, in seconds since the epoch. */
  seenAt: number
}

async function renderFeed ({ version, signer, seenAt }: FeedState, { ring, legacyRing, revocations, vault, policy }: FeedParts): Promise<RenderedFeed> {
  if (!signer) throw new NoFeed()
  const held = revocations.held()
  const iat = Math.floor(seenAt)
  const claims: Omit<FeedClaims, 'tokens'> = {
    iss: policy.issuer,
    iat,
    exp: iat + policy.maxStalenessSeconds,
    version,
    keys: [...ring.all(), ...legacyRing.all()].filter(key => key.revokedAt !== null).map(key => key.kid),
    bots: Object.fromEntries([...held.bots].map(([name, { notBefore }]) => [name, notBefore])),
    disabled: [...held.disabled],
    runs: held.runs.map(({ bot, run, until }) => ({ bot, run, until })),
    legacy: legacyRing.all().map(({ issuer, kid, publicKey: { n, e }, verifiesUntil, revokedAt }) =>
      ({ issuer, kid, n, e, verifiesUntil: Math.floor((revokedAt ?? verifiesUntil).getTime() / 1000) }))
  }
  const payload = await withTokens(claims, held)
  const token = await signCompact({ alg: 'RS256', typ: FEED_TYPE, kid: signer.kid }, payload, async input => await vault.sign(signer, input))
  return { body: Buffer.from(token), etag: etagOf(token) }
}

/** The claims as JSON, in which there may be very many tokens. */
async function withTokens (claims: object, { tokens }: HeldRevocations): Promise<Buffer> {
  const pieces = [Buffer.from(`${JSON.stringify(claims).slice(0, -1)},"tokens":{`)]
  let entries: string[] = []
  for (const [jti, exp] of tokens) {
    entries.push(`${pieces.length + entries.length > 1 ? ',' : ''}${JSON.stringify(jti)}:${exp}`)
    if (entries.length < TOKENS_A_TURN) continue
    pieces.push(Buffer.from(entries.join('')))
    entries = []
    await nextTurn()
  }
  return Buffer.concat([...pieces, Buffer.from(`${entries.join('')}}}`)])
}

/** The signature covers all the rest: its digest is one of the whole. */
function etagOf (token: string): string {
  return `"${createHash('sha256').update(token.slice(token.lastIndexOf('.'))).digest('base64url')}"`
}
