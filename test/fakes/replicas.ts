/** Three real processes on one real PostgreSQL, and what a client asks of them. */
import { randomBytes } from 'node:crypto'
import { openShell, type Server, type Shell } from './pool-processes.ts'
import { temporaryFolder, type Teardown } from './service.ts'

export interface Replicas {
  shell: Shell
  servers: [Server, Server, Server]
  /** The token of a bot that is a full admin. */
  admin: string
  /** Of `worker-bot`. */
  secret: string
}

export async function startReplicas (t: Teardown, url: string, settings: Record<string, string> = {}): Promise<Replicas> {
  const shell = openShell(t, temporaryFolder(t), { MINTMARK_DATABASE_URL: url, MINTMARK_MASTER_KEY: randomBytes(32).toString('base64url'), MINTMARK_ISSUER: 'http://localhost:8590', LOG_LEVEL: 'warn', ...settings })
  const servers = await Promise.all([shell.serve(), shell.serve(), shell.serve()])
  const { clientSecret: adminSecret } = await shell.json<{ clientSecret: string }>('bot', 'create', 'admin-bot', '--admin', '--secret')
  const { clientSecret: secret } = await shell.json<{ clientSecret: string }>('bot', 'create', 'worker-bot', '--secret')
  const tokens = await Promise.all(servers.map(async server => await eventually(async () => await fetchToken(server, 'admin-bot', adminSecret))))
  return { shell, servers, admin: tokens[0] ?? '', secret }
}

/** @returns `null` if it is refused */
export async function fetchToken (server: Server, clientId: string, clientSecret: string): Promise<string | null> {
  const response = await fetch(`${server.url}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret }) })
  return response.ok ? (await response.json() as { access_token: string }).access_token : null
}

export async function ask (server: Server, token: string, method: string, path: string, body?: object): Promise<{ status: number, json: Record<string, unknown> }> {
  const response = await fetch(`${server.url}${path}`, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, ...(body && { body: JSON.stringify(body) }) })
  const text = await response.text()
  return { status: response.status, json: text === '' ? {} : JSON.parse(text) as Record<string, unknown> }
}

/** @returns why the token is refused, or `good` */
export const verdict = async (server: Server, token: string): Promise<unknown> => (await ask(server, token, 'POST', '/verify')).json.code ?? 'good'

export async function revokeToken (server: Server, token: string, secret: string): Promise<number> {
  return (await fetch(`${server.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ token, client_id: 'worker-bot', client_secret: secret }) })).status
}

/** What never comes would else hang the test; how long it may take on a busy machine says nothing of the service. */
const LIMIT_MS = 60_000

/** Asks until the answer is neither `null` nor an error. Throws after a minute. */
async function eventually<T> (attempt: () => Promise<T | null>): Promise<T> {
  const startedAt = Date.now()
  for (;;) {
    const answer = await attempt().catch(() => null)
    if (answer !== null) return answer
    if (Date.now() - startedAt > LIMIT_MS) throw new Error(`not within a minute: ${String(attempt)}`)
    await new Promise(resolve => { setTimeout(resolve, 20) })
  }
}

/** Waits until it holds. @returns how long that took, in milliseconds. Throws after a minute. */
export async function soon (holds: () => Promise<boolean>): Promise<number> {
  const startedAt = performance.now()
  await eventually(async () => await holds() ? true : null)
  return Math.round(performance.now() - startedAt)
}
