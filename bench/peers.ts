/** Starts the peers on the core of whoever is measured. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ours } from './ours.ts'
import { start, type Program } from './programs.ts'

const FIRST_PORT = 18_600
const PORTS = new Map<string, number>()

/** Peers wait for their turns side by side. */
function portOf (name: string): number {
  const port = PORTS.get(name) ?? FIRST_PORT + PORTS.size
  PORTS.set(name, port)
  return port
}

export function urlOfPeer (name: string): string {
  return `http://127.0.0.1:${portOf(name)}`
}

export async function startPeer (name: string, { folder, pem, config }: Ours): Promise<Program> {
  const pemFile = join(folder, 'key.pem')
  writeFileSync(pemFile, pem)
  if (name === 'HAProxy') return await startHaproxy(folder, pemFile)
  if (name === 'oidc-provider') return await start(['node', 'bench/servers/oidc-provider.ts', String(portOf(name))], { url: urlOfPeer(name) })
  return await start(['node', 'bench/servers/verifying.ts', name, String(portOf(name)), pemFile, config.issuer], { url: urlOfPeer(name) })
}

/** HAProxy's `jwt_verify`, in C, one thread; it checks the signature of each request, and no claim. */
async function startHaproxy (folder: string, pemFile: string): Promise<Program> {
  const file = join(folder, 'haproxy.cfg')
  const header = (name: string, value: string): string => `hdr x-auth-request-${name} "${value}"`
  const claim = (name: string): string => `%[var(txn.bearer),jwt_payload_query('\\$.${name}')]`
  const headers = [header('user', claim('sub')), header('email', claim('email')), header('groups', '-'), header('preferred-username', claim('preferred_username')), header('kind', 'bot'), header('roles', '-'), header('scopes', claim('scope')), header('subject', claim('sub')), header('issuer', claim('iss'))]
  writeFileSync(file, `
global
  nbthread 1
  maxconn 1000
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
frontend auth
  bind 127.0.0.1:${portOf('HAProxy')}
  http-request return status 200 if { path / }
  http-request set-var(txn.bearer) http_auth_bearer
  http-request deny unless { var(txn.bearer),jwt_header_query('$.alg') -m str RS256 }
  http-request set-var(txn.alg) str(RS256)
  http-request deny unless { var(txn.bearer),jwt_verify(txn.alg,"${pemFile}") -m int 1 }
  http-request return status 200 ${headers.join(' ')}
`)
  return await start(['haproxy', '-db', '-f', file], { url: urlOfPeer('HAProxy') })
}
