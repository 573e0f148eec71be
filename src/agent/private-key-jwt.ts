/** Client assertions (`private_key_jwt`, RFC 7523): a bot signs who it is, anew for each request. */
import { createPrivateKey, randomUUID, type KeyObject } from 'node:crypto'
import { SignJWT } from 'jose'
import type { Credential } from '../client/credential.ts'
import { TokenRefused, TokenUnavailable } from '../client/token-error.ts'
import type { Fetch } from '../client/token-request.ts'
import { CredentialUnusable, readCredentialFile } from './credentials.ts'

export interface PrivateKeyJwt {
  clientId: string
  /** PEM, or a JWK. */
  file: string
  /** In place of the JWK's own. */
  kid: string | undefined
  /** Of the service. */
  url: string
  clock: () => Date
  fetch: Fetch
  /** Ends what it asks of the service. */
  signal: AbortSignal | undefined
}

/** An assertion is used at once; the rest is for clocks that differ. The service takes five minutes at most. */
const LIFE_SECONDS = 120
const METADATA_TIMEOUT_SECONDS = 10
const LEAST_MODULUS_BITS = 2_048

export function privateKeyJwt ({ clientId, file, kid, url, clock, fetch, signal }: PrivateKeyJwt): Credential {
  return async () => {
    const key = readSigningKey(await readCredentialFile(file, '--key'), file)
    const named = kid ?? key.kid
    const aud = await issuerOf(url, fetch, signal)
    const exp = Math.floor(clock().getTime() / 1000) + LIFE_SECONDS
    // No `iat`: by a clock that is a little ahead it would lie in the future.
    const assertion = await new SignJWT({ iss: clientId, sub: clientId, aud, exp, jti: randomUUID() })
      .setProtectedHeader({ alg: key.alg, ...(named !== undefined && { kid: named }) })
      .sign(key.privateKey)
    return { form: { client_id: clientId, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: assertion } }
  }
}

interface SigningKey {
  privateKey: KeyObject
  alg: string
  kid: string | undefined
}

/** @param text PEM, or a JWK. Throws {@link CredentialUnusable}. */
export function readSigningKey (text: string, file: string): SigningKey {
  const jwk = text.startsWith('{') ? parseJwk(text, file) : undefined
  const privateKey = parseKey(jwk, text, file)
  const kid = jwk?.kid
  return { privateKey, alg: algorithmOf(privateKey, jwk?.alg, file), kid: typeof kid === 'string' ? kid : undefined }
}

function parseJwk (text: string, file: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    throw new CredentialUnusable(`--key: ${file} is neither PEM nor a JWK`)
  }
}

function parseKey (jwk: Record<string, unknown> | undefined, text: string, file: string): KeyObject {
  if (jwk && 'keys' in jwk) throw new CredentialUnusable(`--key: ${file} is a set of keys: give one private JWK of it`)
  if (jwk && !('d' in jwk)) throw new CredentialUnusable(`--key: ${file} is no private key: its JWK has no d`)
  if (/ENCRYPTED/.test(text)) throw new CredentialUnusable(`--key: ${file} is encrypted: give it without a passphrase, in a file that only its user may read`)
  try {
    return jwk ? createPrivateKey({ key: jwk, format: 'jwk' }) : createPrivateKey(text)
  } catch {
    throw new CredentialUnusable(`--key: ${file} holds no private key, as PEM or as a JWK`)
  }
}

function algorithmOf ({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject, wanted: unknown, file: string): string {
  if (type === 'rsa' && (details?.modulusLength ?? 0) >= LEAST_MODULUS_BITS) return wanted === 'PS256' ? 'PS256' : 'RS256'
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return 'ES256'
  if (type === 'ed25519') return 'EdDSA'
  throw new CredentialUnusable(`--key: ${file} takes an RSA key from ${LEAST_MODULUS_BITS} bit, a P-256 or an Ed25519 key`)
}

/**
 * Whom an assertion is meant for: the issuer, as the service itself names it (RFC 8414). It is often reached by another
 * address, as the name of a Kubernetes Service.
 */
async function issuerOf (url: string, fetch: Fetch, signal: AbortSignal | undefined): Promise<string> {
  const address = `${url.replace(/\/+$/, '')}/.well-known/oauth-authorization-server`
  const timeout = AbortSignal.timeout(METADATA_TIMEOUT_SECONDS * 1000)
  const response = await fetch(address, { redirect: 'manual', signal: signal ? AbortSignal.any([timeout, signal]) : timeout }).catch((error: unknown) => {
    throw new TokenUnavailable(`${address} cannot be reached`, { cause: error })
  })
  const text = await response.text()
  if (response.status === 429 || response.status >= 500) throw new TokenUnavailable(`${address} answered ${response.status}`)
  const issuer = response.status === 200 ? issuerIn(text) : undefined
  if (issuer === undefined) throw new TokenRefused('unexpected_answer', response.status, `${address} answered ${response.status} and names no issuer: is ${url} the address of the service?`)
  return issuer
}

function issuerIn (text: string): string | undefined {
  try {
    const { issuer } = JSON.parse(text) as { issuer?: unknown }
    return typeof issuer === 'string' ? issuer : undefined
  } catch {
    return undefined
  }
}
