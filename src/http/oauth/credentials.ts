/** What a client shows to say who it is (RFC 6749 2.3.1, RFC 7521 4.2), taken out of the request: one way, and one only. */
import type { FastifyRequest } from 'fastify'
import { clientOfUnverified } from '../../bots/assertion.ts'
import { isSentTwice } from '../../verify/bearer-token.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parameters } from './parameters.ts'

export const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

export type Credentials =
  | { by: 'secret', clientId: string, secret: string }
  | { by: 'assertion', clientId: string, assertion: string }

/** Throws `OAuthError`. */
export function credentialsOf (request: FastifyRequest, parameters: Parameters): Credentials {
  assertOneWay(request, parameters)
  const inHeader = basicCredentials(request.headers.authorization)
  const clientId = parameters.get('client_id')
  const found = inHeader ?? assertionIn(parameters)
  if (found) {
    if (clientId !== undefined && clientId !== found.clientId) throw new OAuthError('invalid_request', `client_id is not the client of the ${inHeader ? 'Authorization header' : 'client_assertion'}`)
    return found
  }
  const secret = parameters.get('client_secret')
  if (clientId === undefined || secret === undefined) throw new OAuthError('invalid_client', 'Authenticate by HTTP Basic, by client_id and client_secret in the body, or by client_assertion')
  return { by: 'secret', clientId, secret }
}

/** True if a request shows credentials of a client, in whatever way. */
export function showsCredentials (request: FastifyRequest, parameters: Parameters): boolean {
  return waysIn(request, parameters) > 0
}

/** Throws `invalid_request`. */
function assertOneWay (request: FastifyRequest, parameters: Parameters): void {
  if (isSentTwice(request.raw.rawHeaders) || waysIn(request, parameters) > 1) {
    throw new OAuthError('invalid_request', 'Authenticate in one way: by header, by client_secret or by client_assertion')
  }
}

function waysIn ({ headers: { authorization } }: FastifyRequest, { get }: Parameters): number {
  return [authorization, get('client_secret'), get('client_assertion') ?? get('client_assertion_type')].filter(way => way !== undefined).length
}

function assertionIn (parameters: Parameters): Credentials | null {
  const assertion = parameters.get('client_assertion')
  const type = parameters.get('client_assertion_type')
  if (assertion === undefined && type === undefined) return null
  if (assertion === undefined || type === undefined) throw new OAuthError('invalid_request', 'client_assertion and client_assertion_type go together')
  if (type !== JWT_BEARER) throw new OAuthError('invalid_client', `client_assertion_type takes ${JWT_BEARER}`)
  const clientId = clientOfUnverified(assertion)
  if (clientId === null) throw new OAuthError('invalid_client', 'client_assertion takes a JWT of at most 8 KiB, signed with RS256, PS256, ES256 or EdDSA, without crit, whose sub is the client id')
  return { by: 'assertion', clientId, assertion }
}

/** Both halves are form-urlencoded before they are joined (RFC 6749 2.3.1). */
function basicCredentials (authorization: string | undefined): Credentials | null {
  if (authorization === undefined) return null
  const [, encoded] = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization) ?? []
  const decoded = Buffer.from(encoded ?? '', 'base64').toString()
  const colon = decoded.indexOf(':')
  if (colon === -1) throw new OAuthError('invalid_client', 'The Authorization header takes the form "Basic base64(client_id:client_secret)"')
  try {
    return { by: 'secret', clientId: formDecode(decoded.slice(0, colon)), secret: formDecode(decoded.slice(colon + 1)) }
  } catch {
    throw new OAuthError('invalid_client', 'Client id and client secret are form-urlencoded before they are joined (RFC 6749 2.3.1)')
  }
}

function formDecode (text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}
