/** oidc-provider as its documentation has it for machine clients: JWT access tokens, RS256, in memory. `node oidc-provider.ts PORT` */
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const port = Number(process.argv[2])
const url = `http://127.0.0.1:${port}`
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const scope = 'metadata:read metadata:write'

const provider = new Provider(url, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' }] },
  clients: [{ client_id: 'ingestion-bot', client_secret: 'a-secret-of-some-length', grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope }],
  scopes: scope.split(' '),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:metadata-api',
      getResourceServerInfo: () => ({ scope, audience: 'metadata-api', accessTokenFormat: 'jwt', accessTokenTTL: 3600, jwt: { sign: { alg: 'RS256' } } })
    }
  }
})
createServer(provider.callback()).listen(port, '127.0.0.1')
