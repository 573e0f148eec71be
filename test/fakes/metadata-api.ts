/** A metadata API that registers the plugin, beside a service and a pool that it reaches by HTTP. */
import Fastify, { type FastifyInstance } from 'fastify'
import mintmark, { type MintmarkOptions } from 'mintmark'
import type { MovableClock } from './clock.ts'
import { ask, type Answer } from './pool-answers.ts'
import { startPool, type Pool } from './pool.ts'
import { startService, type Service, type Teardown } from './service.ts'
import { freePort } from './shell.ts'

/** The plugin's clock is the machine's: so is that of the service here. */
const machineTime = (): MovableClock => ({ clock: () => new Date(), advance () { throw new Error('nobody moves this clock') } })

export interface Town { pool: Pool, service: Service, issuer: string, port: number }

/** The service does not listen yet. */
export async function startTown (t: Teardown, settings: Record<string, string> = {}): Promise<Town> {
  const pool = await startPool(t)
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const service = await startService(t, { ...pool.settings, MINTMARK_PUBLIC_URL: issuer, ...settings }, machineTime())
  return { pool, service, issuer, port }
}

/** @param addRoutes beside `/open`, and `/me`, which answers the principal */
export async function startApi (t: Teardown, options: MintmarkOptions, addRoutes: (api: FastifyInstance) => void = () => { /* none */ }): Promise<FastifyInstance> {
  const api = Fastify()
  await api.register(mintmark, options)
  api.get('/open', async () => 'open')
  api.get('/me', { onRequest: api.authenticate }, async request => request.principal)
  addRoutes(api)
  await api.ready()
  t.teardown(async () => { await api.close() })
  return api
}

export const optionsFor = ({ issuer, pool }: Town, more: Partial<MintmarkOptions> = {}): MintmarkOptions =>
  ({ issuer, audience: 'metadata-api', cognito: { issuer: pool.issuer, clientId: pool.clientId }, ...more })

export async function me (api: FastifyInstance, token: string | null): Promise<Answer> {
  return await ask(api, { url: '/me', headers: token === null ? {} : { authorization: `Bearer ${token}` } })
}
