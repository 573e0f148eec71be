/** Shorthands for asking the service under test. */
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'

export interface Asking {
  /** With a JSON body, if there is one. */
  ask: (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, body?: unknown) => Promise<LightMyRequestResponse>
}

/** Asks as whoever has this bearer token. */
export function askAs (app: FastifyInstance, token: string): Asking['ask'] {
  return async (method, url, body) => await app.inject({ method, url, headers: { authorization: `Bearer ${token}` }, ...(body !== undefined && { payload: body as object }) })
}

/** Posts a form as a client that authenticates by HTTP Basic, or as nobody. */
export async function postForm (app: FastifyInstance, url: string, form: Record<string, string>, client?: { clientId: string, clientSecret: string }, headers: Record<string, string> = {}): Promise<LightMyRequestResponse> {
  const basic = client && { authorization: `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}` }
  return await app.inject({ method: 'POST', url, headers: { ...basic, ...headers, 'content-type': 'application/x-www-form-urlencoded' }, payload: new URLSearchParams(form).toString() })
}
