/**
 * Keys by OpenID Connect Discovery. The address of the document follows from the issuer, and that comes from the settings;
 * the keys have to be on the same host, and neither may send us elsewhere.
 */
import type { ClientKey } from '../bots/bot.ts'
import { LARGEST_DOCUMENT_BYTES, readJwks } from './jwks.ts'

export type Fetch = (url: string, init: { signal: AbortSignal, redirect: 'error', headers: Record<string, string> }) => Promise<Response>

const TIMEOUT_MS = 4_000

/** Throws an error that says what is wrong with the issuer, or with the way there. */
export async function discoverKeys (issuer: string, fetch: Fetch): Promise<readonly ClientKey[]> {
  const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const document = JSON.parse(await download(address, fetch)) as { issuer?: unknown, jwks_uri?: unknown } | null
  if (document?.issuer !== issuer) throw new Error(`${address} is the document of another issuer: ${JSON.stringify(document?.issuer)}`)
  return readJwks(await download(keysAddressOf(issuer, document.jwks_uri), fetch))
}

function keysAddressOf (issuer: string, jwksUri: unknown): string {
  const address = typeof jwksUri === 'string' ? URL.parse(jwksUri) : null
  const isThere = address?.origin === new URL(issuer).origin && address.username === '' && address.password === ''
  if (!address || !isThere) throw new Error(`the keys of ${issuer} are on another host (jwks_uri ${JSON.stringify(jwksUri)}): put them into a file, and name that in MINTMARK_TRUSTED_ISSUERS`)
  return address.href
}

async function download (address: string, fetch: Fetch): Promise<string> {
  const response = await fetch(address, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error', headers: { accept: 'application/json' } })
  if (!response.ok) throw new Error(`${address} answered ${response.status}`)
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > LARGEST_DOCUMENT_BYTES) throw new Error(`${address} is larger than ${LARGEST_DOCUMENT_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
