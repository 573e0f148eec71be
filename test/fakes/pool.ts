/** A user pool that speaks like Amazon Cognito: publishes its keys, issues id and access tokens. It can fail in the ways that pools do. */
import { generateKeyPair, randomUUID, type KeyObject } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { exportJWK, type JWK } from 'jose'
import type { Clock } from '../../src/keys/signing-key.ts'
import { forge, rs256 } from './pool-forge.ts'
import type { Teardown } from './service.ts'

export interface PoolKey {
  kid: string
  privateKey: KeyObject
  publicKey: KeyObject
  jwk: JWK
}

export type Claims = Record<string, unknown>

export interface Pool {
  /** `http://localhost:<port>/local_pool` */
  issuer: string
  clientId: string
  /** What the service needs to know of this pool. */
  settings: Record<string, string>
  /** How often the JWKS was asked for. */
  fetches: () => number
  goDown: () => void
  goUp: () => void
  /** The key that signs now. */
  key: () => PoolKey
  /** A new key signs; the JWKS shows it beside the ones before. */
  rotate: () => Promise<PoolKey>
  /** The JWKS shows these, and nothing else. */
  publish: (keys: unknown[]) => void
  /** Answers the next JWKS requests in another way. The keys themselves stand at `<issuer>/moved.json` too. */
  answer: (handler: ((response: ServerResponse) => void) | null) => void
  sign: (claims: Claims, header?: Claims) => Promise<string>
  /** Tokens of Cognito's shape; a claim that is `undefined` is left out. */
  idToken: (claims?: Claims, header?: Claims) => Promise<string>
  accessToken: (claims?: Claims, header?: Claims) => Promise<string>
}

export const USER_SUB = '3f2a9c1e-0b7d-4e55-9a51-d2c7f6a90e11'

const makePair = promisify(generateKeyPair)

export async function makePoolKey (modulusLength = 2048): Promise<PoolKey> {
  const { publicKey, privateKey } = await makePair('rsa', { modulusLength })
  const kid = `${randomUUID()}=`
  return { kid, privateKey, publicKey, jwk: { ...await exportJWK(publicKey), kid, use: 'sig', alg: 'RS256' } }
}

export async function startPool (t: Teardown, clock: Clock = () => new Date()): Promise<Pool> {
  let key = await makePoolKey()
  let published: unknown[] = [key.jwk]
  let fetches = 0
  let down = false
  let special: ((response: ServerResponse) => void) | null = null

  const server = createServer((request, response) => {
    if (down) {
      request.socket.destroy()
    } else if (request.url === '/local_pool/.well-known/jwks.json') {
      fetches++
      if (special) special(response)
      else response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: published }))
    } else if (request.url === '/local_pool/moved.json') {
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: published }))
    } else {
      response.writeHead(404).end()
    }
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })

  const issuer = `http://localhost:${(server.address() as AddressInfo).port}/local_pool`
  const clientId = '4kd2bq0example7n1v9c3p5t8u'
  const seconds = (): number => Math.floor(clock().getTime() / 1000)
  const sign: Pool['sign'] = async (claims, header = {}) => await forge({ kid: key.kid, alg: 'RS256', ...header }, claims, rs256(key.privateKey))

  return {
    issuer,
    clientId,
    settings: { AUTHENTICATION_PROVIDER: 'aws-cognito', AUTHENTICATION_AUTHORITY: issuer, AUTHENTICATION_CLIENT_ID: clientId },
    fetches: () => fetches,
    goDown () { down = true },
    goUp () { down = false },
    key: () => key,
    async rotate () {
      key = await makePoolKey()
      published = [...published, key.jwk]
      return key
    },
    publish (keys) { published = keys },
    answer (handler) { special = handler },
    sign,
    idToken: async (claims = {}, header = {}) => await sign({
      sub: USER_SUB,
      email_verified: true,
      iss: issuer,
      'cognito:username': 'cognito-alice',
      origin_jti: randomUUID(),
      aud: clientId,
      event_id: randomUUID(),
      token_use: 'id',
      auth_time: seconds(),
      exp: seconds() + 3600,
      iat: seconds(),
      jti: randomUUID(),
      email: 'Alice@Example.com',
      ...claims
    }, header),
    accessToken: async (claims = {}, header = {}) => await sign({
      sub: USER_SUB,
      iss: issuer,
      version: 2,
      client_id: clientId,
      origin_jti: randomUUID(),
      event_id: randomUUID(),
      token_use: 'access',
      scope: 'openid email metadata/read',
      auth_time: seconds(),
      exp: seconds() + 3600,
      iat: seconds(),
      jti: randomUUID(),
      username: 'cognito-alice',
      ...claims
    }, header)
  }
}
