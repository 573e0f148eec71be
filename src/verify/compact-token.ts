/** The form of a token (RFC 7515 3.1, RFC 7519 7.2). Decodes, and trusts nothing. */
import { LARGEST_TOKEN_BYTES } from '../tokens/claims.ts'
import { VerifyError } from './errors.ts'

export type JsonObject = Record<string, unknown>

export interface UnverifiedToken {
  header: JsonObject
  payload: JsonObject
}

/** Of UTF-8, for one of UTF-16: few tokens have to be counted. */
const MOST_BYTES_A_UNIT = 3

/** Throws `token_too_large`. */
export function assertSize (token: string): void {
  if (token.length * MOST_BYTES_A_UNIT > LARGEST_TOKEN_BYTES && Buffer.byteLength(token) > LARGEST_TOKEN_BYTES) throw new VerifyError('token_too_large', `The token is larger than ${LARGEST_TOKEN_BYTES} bytes`)
}

/** Headers whose form was found good before, by the first part of their tokens. */
export interface KnownHeaders { get: (part: string) => JsonObject | undefined }

const NONE_KNOWN: KnownHeaders = new Map()

/**
 * Three non-empty parts of canonical base64url, header and payload JSON objects, no `crit`. Throws `token_malformed`.
 * Canonical, because a token must have one spelling only: unused bits or padding would make a second one that verifies too.
 */
export function decodeUnverified (token: string, knownHeaders = NONE_KNOWN): UnverifiedToken {
  const parts = token.split('.')
  if (parts.length !== 3) throw notThreeParts()
  const [headerPart = '', payloadPart = '', signaturePart = ''] = parts
  bytesOf(signaturePart)
  return { header: knownHeaders.get(headerPart) ?? decodeHeader(headerPart), payload: parseObject(bytesOf(payloadPart), 'payload') }
}

function decodeHeader (part: string): JsonObject {
  const header = parseObject(bytesOf(part), 'header')
  if ('crit' in header) throw new VerifyError('token_malformed', 'The header asks for extensions (crit) that are not understood here')
  return header
}

function bytesOf (part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url')
  if (part === '' || bytes.toString('base64url') !== part) throw notThreeParts()
  return bytes
}

function notThreeParts (): VerifyError {
  return new VerifyError('token_malformed', 'A token is three parts of base64url with dots between them')
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
