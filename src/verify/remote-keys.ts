/**
 * The keys of an issuer elsewhere, by its JWKS: fetched when first needed, one fetch at a time, kept while it is away.
 * An unknown kid asks the issuer again, but not within the cooldown after it was last asked: whoever makes up kids must not make us knock.
 */
import type { Clock } from '../keys/signing-key.ts'
import { createVerificationKeys, type VerificationKey, type VerificationKeys } from '../keys/verification-key.ts'
import type { JsonObject } from './compact-token.ts'
import { VerifyError } from './errors.ts'
import { createHttpClient, type Get, type Page } from './http-get.ts'

export interface RemoteKeys {
  /** Throws `keys_unavailable` if there is no such key, and the issuer could not be asked whether there is one now. */
  find: (kid: string, now?: Date) => VerificationKey | undefined | Promise<VerificationKey | undefined>
  /** The key if it is in hand; asks nobody. */
  held: (kid: string) => VerificationKey | undefined
  /** When the issuer was found to publish the key no more, in seconds since the epoch; `null`: it does, or never did. */
  droppedAt: (kid: string) => number | null
  /** Fetches the keys now, whatever the cooldown, which is for the kids of strangers. @returns whether that worked */
  refresh: () => Promise<boolean>
}

export interface RemoteKeysOptions {
  jwksUri: string
  clock: Clock
  get?: Get
  /** After this long the keys in hand are fetched anew, behind the back of whoever asks; after twice as long they are not used before. */
  refreshAfterSeconds?: number
  onFetched?: (outcome: { jwksUri: string, error?: unknown }) => void
}

const COOLDOWN_SECONDS = 10
const RETRY_SECONDS = 1
const TIMEOUT_MS = 4_000
const LARGEST_JWKS_BYTES = 256 * 1024
const SMALLEST_MODULUS_BITS = 2_048

export function createRemoteKeys (options: RemoteKeysOptions): RemoteKeys {
  const { jwksUri, clock, get = createHttpClient().get, refreshAfterSeconds = 3_600, onFetched } = options
  let keys: ReadonlyMap<string, VerificationKey> | undefined
  const made = createVerificationKeys()
  const dropped = new Map<string, number>()
  let etag: string | null = null
  let fetching: Promise<void> | undefined
  let failure: unknown
  let fetchedAt = -Infinity
  let quietUntil = -Infinity

  const seconds = (): number => clock().getTime() / 1000

  /** A first fetch that succeeds leaves no cooldown: the next kid may well be newer than it. */
  function quietFor (isFirst: boolean): number {
    if (failure !== undefined && !keys) return RETRY_SECONDS
    return isFirst ? 0 : COOLDOWN_SECONDS
  }

  function replace (published: ReadonlyMap<string, VerificationKey>): void {
    for (const kid of keys?.keys() ?? []) if (!published.has(kid)) dropped.set(kid, seconds())
    for (const kid of published.keys()) dropped.delete(kid)
    keys = published
    made.keep(published)
  }

  async function fetchKeys (): Promise<void> {
    try {
      const page = await get(jwksUri, { accept: 'application/jwk-set+json, application/json', etag, timeoutMs: TIMEOUT_MS, largestBytes: LARGEST_JWKS_BYTES })
      if (!keys || page.status !== 304) {
        replace(readJwks(page, jwksUri, made))
        etag = page.etag
      }
      if (failure !== undefined) quietUntil = -Infinity // it was about an outage, which is over
      failure = undefined
      fetchedAt = seconds()
    } catch (error) {
      failure = error
      quietUntil = Math.max(quietUntil, seconds() + RETRY_SECONDS) // whoever has waited for it does not wait for another
    }
    fetching = undefined
    onFetched?.({ jwksUri, ...(failure !== undefined && { error: failure }) })
  }

  async function ask (): Promise<void> {
    if (!fetching && seconds() < quietUntil) return
    const isFirst = !keys
    await (fetching ??= fetchKeys())
    quietUntil = seconds() + quietFor(isFirst)
  }

  /** After a pause nobody knows what became of the keys meanwhile; but an issuer that is away is not waited for by every request. */
  function mustAsk (now: number): boolean {
    return failure === undefined && now > fetchedAt + 2 * refreshAfterSeconds
  }

  async function findByAsking (kid: string): Promise<VerificationKey | undefined> {
    if (!keys?.has(kid) && fetching) await fetching // which may have begun before the key was published
    if (!keys?.has(kid) || mustAsk(seconds())) await ask()
    const key = keys?.get(kid)
    if (!key && failure !== undefined) throw new VerifyError('keys_unavailable', 'The issuer\'s keys cannot be fetched now: try again shortly', { cause: failure })
    return key
  }

  return {
    find (kid, now = clock()) {
      const key = keys?.get(kid)
      if (!key || mustAsk(now.getTime() / 1000)) return findByAsking(kid)
      if (now.getTime() / 1000 > fetchedAt + refreshAfterSeconds) void ask()
      return key
    },
    held: kid => keys?.get(kid),
    droppedAt: kid => dropped.get(kid) ?? null,
    async refresh () {
      await (fetching ??= fetchKeys())
      return failure === undefined
    }
  }
}

function readJwks ({ status, text }: Page, jwksUri: string, made: VerificationKeys): Map<string, VerificationKey> {
  if (status !== 200) throw new Error(`${jwksUri} answered ${status}`)
  const document: unknown = JSON.parse(text)
  const listed: unknown = (document as { keys?: unknown } | null)?.keys
  if (!Array.isArray(listed)) throw new Error(`${jwksUri} is not a JWKS`)
  const keys = listed.map(jwk => usableKey(jwk, made)).filter(key => key !== undefined)
  return new Map(keys.reverse().map(key => [key.kid, key]))
}

/** A key that is not RSA, not for RS256 signatures, or too small counts as unknown. */
function usableKey (jwk: unknown, made: VerificationKeys): VerificationKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  const { kty, kid, n, e, use = 'sig', alg = 'RS256', key_ops: operations } = jwk as JsonObject
  const forSignatures = kty === 'RSA' && use === 'sig' && alg === 'RS256' && (!Array.isArray(operations) || operations.includes('verify'))
  if (!forSignatures || typeof kid !== 'string' || typeof n !== 'string' || typeof e !== 'string') return undefined
  try {
    const key = made.of(kid, { n, e })
    return (key.keyObject.asymmetricKeyDetails?.modulusLength ?? 0) >= SMALLEST_MODULUS_BITS ? key : undefined
  } catch {
    return undefined
  }
}
