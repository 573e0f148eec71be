/**
 * The keys of an issuer elsewhere, by its JWKS: fetched when first needed, one fetch at a time, kept while it is away.
 * An unknown kid asks the issuer again, but not within the cooldown after it was last asked: whoever makes up kids must not make us knock.
 */
import { toVerificationKey, type VerificationKey } from '../keys/key-ring.ts'
import type { Clock } from '../keys/signing-key.ts'
import type { JsonObject } from './compact-token.ts'
import { VerifyError } from './errors.ts'

export interface RemoteKeys {
  /** Throws `keys_unavailable` if there are none yet and none can be had. */
  find: (kid: string) => Promise<VerificationKey | undefined>
}

export type Fetch = (url: string, init: { signal: AbortSignal, redirect: 'error', headers: Record<string, string> }) => Promise<Response>

export interface RemoteKeysOptions {
  jwksUri: string
  clock: Clock
  fetch?: Fetch
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
  const { jwksUri, clock, fetch = globalThis.fetch, refreshAfterSeconds = 3_600, onFetched } = options
  let keys: ReadonlyMap<string, VerificationKey> | undefined
  let fetching: Promise<void> | undefined
  let failure: unknown
  let fetchedAt = -Infinity
  let quietUntil = -Infinity

  const seconds = (): number => clock().getTime() / 1000

  /** A first fetch that succeeds leaves no cooldown: the next kid may well be newer than it. */
  function quietFor (wasFirst: boolean): number {
    if (failure !== undefined && !keys) return RETRY_SECONDS
    return wasFirst ? 0 : COOLDOWN_SECONDS
  }

  async function fetchKeys (): Promise<void> {
    const wasFirst = !keys
    try {
      keys = await download(fetch, jwksUri)
      failure = undefined
      fetchedAt = seconds()
    } catch (error) {
      failure = error
    }
    quietUntil = seconds() + quietFor(wasFirst)
    fetching = undefined
    onFetched?.({ jwksUri, ...(failure !== undefined && { error: failure }) })
  }

  async function ask (): Promise<void> {
    if (!fetching && seconds() < quietUntil) return
    await (fetching ??= fetchKeys())
  }

  /** After a pause nobody knows what became of the keys meanwhile; but an issuer that is away is not waited for by every request. */
  function mustAsk (): boolean {
    return failure === undefined && seconds() > fetchedAt + 2 * refreshAfterSeconds
  }

  return {
    async find (kid) {
      if (!keys?.has(kid) || mustAsk()) await ask()
      else if (seconds() > fetchedAt + refreshAfterSeconds) void ask()
      if (!keys) throw new VerifyError('keys_unavailable', 'The issuer\'s keys cannot be fetched now: try again shortly', { cause: failure })
      return keys.get(kid)
    }
  }
}

async function download (fetch: Fetch, jwksUri: string): Promise<Map<string, VerificationKey>> {
  const response = await fetch(jwksUri, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error', headers: { accept: 'application/jwk-set+json, application/json' } })
  if (!response.ok) throw new Error(`${jwksUri} answered ${response.status}`)
  const document: unknown = JSON.parse(await readText(response))
  const listed: unknown = (document as { keys?: unknown } | null)?.keys
  if (!Array.isArray(listed)) throw new Error(`${jwksUri} is not a JWKS`)
  const keys = listed.map(usableKey).filter(key => key !== undefined)
  return new Map(keys.reverse().map(key => [key.kid, key]))
}

async function readText (response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += (chunk as Uint8Array).length
    if (bytes > LARGEST_JWKS_BYTES) throw new Error(`the JWKS is larger than ${LARGEST_JWKS_BYTES} bytes`)
    chunks.push(chunk as Uint8Array)
  }
  return Buffer.concat(chunks).toString()
}

/** A key that is not RSA, not for RS256 signatures, or too small counts as unknown. */
function usableKey (jwk: unknown): VerificationKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  const { kty, kid, n, e, use = 'sig', alg = 'RS256', key_ops: operations } = jwk as JsonObject
  const forSignatures = kty === 'RSA' && use === 'sig' && alg === 'RS256' && (!Array.isArray(operations) || operations.includes('verify'))
  if (!forSignatures || typeof kid !== 'string' || typeof n !== 'string' || typeof e !== 'string') return undefined
  try {
    const key = toVerificationKey(kid, { n, e })
    return (key.keyObject.asymmetricKeyDetails?.modulusLength ?? 0) >= SMALLEST_MODULUS_BITS ? key : undefined
  } catch {
    return undefined
  }
}
