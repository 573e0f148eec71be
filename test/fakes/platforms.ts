/** Platforms that vouch for their workloads: a real OpenID provider, and what others publish and sign, as a test wants it. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'
import { exportJWK, generateKeyPair } from 'jose'
import type { Teardown } from './service.ts'
import { makeSigner, type Signer } from './signers.ts'

export interface Platform {
  /** On loopback, so that plain http will do. */
  issuer: string
  signer: Signer
  /** What was asked for, in order. */
  asked: string[]
  /** What it answers, by path: a document, or a function that answers by itself. */
  answers: Record<string, unknown>
  /** Nobody listens there any more. */
  stop: () => Promise<void>
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** Publishes a discovery document and one key. @param path of the issuer */
export async function startPlatform (t: Teardown, path = '', alg = 'ES256'): Promise<Platform> {
  const signer = await makeSigner(alg)
  const asked: string[] = []
  const answers: Record<string, unknown> = {}
  const server = createServer((request, response) => {
    const url = request.url ?? ''
    asked.push(url)
    const answer = answers[url]
    if (typeof answer === 'function') (answer as Answer)(request, response)
    else if (answer === undefined) response.writeHead(404).end()
    else response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
  })
  const issuer = `${await listenOnLoopback(t, server)}${path}`
  answers[`${path}/.well-known/openid-configuration`] = { issuer, jwks_uri: `${issuer}/keys` }
  answers[`${path}/keys`] = { keys: [signer.jwk] }
  return { issuer, signer, asked, answers, stop: async () => { await close(server) } }
}

export interface OidcProvider {
  issuer: string
  /** A JWT access token of the client, by its client credentials (RFC 9068), for `audience`. */
  token: (client: string, audience: string) => Promise<string>
}

const SECRET = 'secret-of-a-test-client'

/** @param clients that may fetch tokens */
export async function startOidcProvider (t: Teardown, clients: readonly string[]): Promise<OidcProvider> {
  let handle: RequestListener = (_request, response) => { response.end() }
  const issuer = await listenOnLoopback(t, createServer((request, response) => { handle(request, response) }))
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const provider = new Provider(issuer, {
    jwks: { keys: [{ ...await exportJWK(privateKey), kid: 'provider-key', alg: 'RS256', use: 'sig' }] },
    clients: clients.map(client => ({ client_id: client, client_secret: SECRET, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] })),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context: unknown, audience: string) => ({ scope: 'exchange', audience, accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'RS256' } } })
      }
    }
  })
  handle = provider.callback()
  return {
    issuer,
    async token (client, audience) {
      const response = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${client}:${SECRET}`).toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: audience })
      })
      const body = await response.json() as { access_token?: string }
      if (body.access_token === undefined) throw new Error(`the provider gave no token: ${JSON.stringify(body)}`)
      return body.access_token
    }
  }
}

async function listenOnLoopback (t: Teardown, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => { await close(server) })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function close (server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise(resolve => { server.close(resolve) })
}
