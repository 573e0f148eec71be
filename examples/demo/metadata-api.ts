/** A metadata API that knows bots and users by one middleware: all that a server has to write is below. */
import Fastify from 'fastify'
import mintmark from 'mintmark'

export interface MetadataApiOptions {
  /** Address of the mintmark service, whose bots may come. */
  issuer: string
  /** The pool whose users may come, and the app client that they sign in with. */
  userPool: { issuer: string, clientId: string }
}

export interface MetadataApi {
  url: string
  close: () => Promise<void>
}

/** Listens on a free port of this machine. */
export async function startMetadataApi ({ issuer, userPool }: MetadataApiOptions): Promise<MetadataApi> {
  const app = Fastify()
  await app.register(mintmark, { issuer, audience: 'metadata-api', cognito: userPool })

  app.get('/api/v1/users/loggedInUser', { onRequest: app.authenticate }, async request => request.principal)

  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return { url, close: async () => { await app.close() } }
}
