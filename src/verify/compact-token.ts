/** The form of a token (RFC 7515 3.1, RFC 7519 7.2). Decodes, and trusts nothing. */
import { LARGEST_TOKEN_BYTES } from '../tokens/claims.ts'
import { VerifyError } from './errors.ts'

export type JsonObject = Record<string, unknown>

export interface UnverifiedToken {
  header: JsonObject
  payload: JsonObject
}

/** Throws `token_too_large`. */
export function assertSize (token: string): void {
  if (Buffer.byteLength(token) > LARGEST_TOKEN_BYTES) throw new VerifyError('token_too_large', `The token is larger than ${LARGEST_TOKEN_BYTES} bytes`)
}

/**
 * Three non-empty parts of canonical base64url, header and payload JSON objects, no `crit`. Throws `token_malformed`.
 * Canonical, because a token must have one spelling only: unused bits or padding would make a second one that verifies too.
 */
export function decodeUnverified (token: string): UnverifiedToken {
  const parts = token.split('.')
  const [header, payload, signature] = parts.map(decodePart)
  if (parts.length !== 3 || !header || !payload || !signature) {
    throw new VerifyError('token_malformed', 'A token is three parts of base64url with dots between them')
  }
  const decoded = { header: parseObject(header, 'header'), payload: parseObject(payload, 'payload') }
  if ('crit' in decoded.header) throw new VerifyError('token_malformed', 'The header asks for extensions (crit) that are not understood here')
  return decoded
}

function decodePart (part: string): Buffer | null {
  const bytes = Buffer.from(part, 'base64url')
  return part !== '' && bytes.toString('base64url') === part ? bytes : null
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parseObject (bytes: Buffer, name: string): JsonObject {
  try {
    const value: unknown = JSON.parse(utf8.decode(bytes))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
  } catch (error) {
    throw new VerifyError('token_malformed', `The token's ${name} is not JSON`, { cause: error })
  }
  throw new VerifyError('token_malformed', `The token's ${name} is not a JSON object`)
}
