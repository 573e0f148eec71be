import type { ClientKey } from '../bots/bot.ts'

/** Of a file, and of an answer. */
export const LARGEST_DOCUMENT_BYTES = 256 * 1024

const KINDS: readonly unknown[] = ['RSA', 'EC', 'OKP']

/** The public keys in a JWKS (RFC 7517 5); what is none of these kinds is left out. Throws if it is no JWKS. */
export function readJwks (text: string): readonly ClientKey[] {
  const document: unknown = JSON.parse(text)
  const listed: unknown = (document as { keys?: unknown } | null)?.keys
  if (!Array.isArray(listed)) throw new Error('it is not a JWKS: an object with a list of keys')
  return listed.filter((jwk): jwk is ClientKey => typeof jwk === 'object' && jwk !== null && KINDS.includes((jwk as ClientKey).kty))
}
