/**
 * What Amazon Cognito has and `cognito-local` has not: the pool's issuer with a discovery document that says where the hosted UI is,
 * and the hosted UI's `/logout`. With it in front, the example needs no line that is for the emulator.
 */
import Fastify from 'fastify'

export interface PoolIssuer {
  url: string
  /** The emulator, which is the hosted UI; known once it runs. */
  serve: (hostedUi: string) => void
  close: () => Promise<void>
}

interface LogoutQuery {
  client_id?: string
  logout_uri?: string
}

/** Listens on a free port of this machine: the emulator has to be told the address before it starts. */
export async function startPoolIssuer (): Promise<PoolIssuer> {
  const app = Fastify()
  let hostedUi = ''

  app.get<{ Params: { pool: string } }>('/:pool/.well-known/openid-configuration', async request => {
    const issuer = `${url}/${request.params.pool}`
    return {
      issuer,
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      authorization_endpoint: `${hostedUi}/oauth2/authorize`,
      token_endpoint: `${hostedUi}/oauth2/token`,
      end_session_endpoint: `${url}/logout`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256']
    }
  })

  app.get<{ Params: { pool: string } }>('/:pool/.well-known/jwks.json', async request =>
    await (await fetch(`${hostedUi}/${request.params.pool}/.well-known/jwks.json`)).json())

  // The emulator remembers nobody: there is only the way back.
  app.get<{ Querystring: LogoutQuery }>('/logout', async ({ query }, reply) => {
    if (!query.client_id || !query.logout_uri) return await reply.code(400).send('client_id and logout_uri are required')
    return await reply.redirect(query.logout_uri)
  })

  const url = (await app.listen({ host: '127.0.0.1', port: 0 })).replace('127.0.0.1', 'localhost')
  return { url, serve (address) { hostedUi = address }, close: async () => { await app.close() } }
}
