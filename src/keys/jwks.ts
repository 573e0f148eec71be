/** The published JWKS (RFC 7517 5): rendered when a key changes its state, served as bytes. */
import { createHash } from 'node:crypto'
import type { KeyRing } from './key-ring.ts'
import { isPublishedAt, stateAt, type Clock, type SigningKey } from './signing-key.ts'

/** Where the JWKS is, beneath the service's address. */
export const JWKS_PATH = '/.well-known/jwks.json'
/** Where it is too, since clients of OpenMetadata look there. */
export const OM_JWKS_PATH = '/api/v1/system/config/jwks'

export interface RenderedJwks {
  readonly body: Buffer
  /** Strong, quoted (RFC 9110 8.8.3). */
  readonly etag: string
}

/** @returns a function that gives the JWKS as it is now */
export function createJwks (ring: KeyRing, clock: Clock): () => RenderedJwks {
  let rendered: RenderedJwks & { generation: number, until: number } | undefined

  return () => {
    const now = clock()
    if (rendered?.generation !== ring.generation() || now.getTime() >= rendered.until) {
      rendered = { ...renderJwks(ring.all(), now), generation: ring.generation(), until: nextChangeAfter(ring.all(), now) }
    }
    return rendered
  }
}

/** Pending, signing and retired keys, the signing one first, then the newest. */
export function renderJwks (ring: readonly SigningKey[], now: Date): RenderedJwks {
  const signsFirst = (key: SigningKey): number => stateAt(key, now) === 'signing' ? 0 : 1
  const keys = ring
    .filter(key => isPublishedAt(key, now))
    .sort((a, b) => signsFirst(a) - signsFirst(b) || b.signsFrom.getTime() - a.signsFrom.getTime())
    .map(({ kid, publicKey: { n, e } }) => ({ kty: 'RSA', use: 'sig', alg: 'RS256', kid, n, e }))
  const body = Buffer.from(JSON.stringify({ keys }))
  return { body, etag: `"${createHash('sha256').update(body).digest('base64url')}"` }
}

function nextChangeAfter (ring: readonly SigningKey[], now: Date): number {
  const moments = ring.flatMap(key => [key.signsFrom, key.signsUntil, key.verifiesUntil])
  return Math.min(...moments.filter(moment => moment !== null && moment > now).map(moment => Number(moment)), Infinity)
}
