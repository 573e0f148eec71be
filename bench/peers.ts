/** Starts the peers on the core of whoever is measured. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ours } from './ours.ts'
import { start, type Program } from './programs.ts'

const PORT = 18_600
export const PEER_URL = `http://127.0.0.1:${PORT}`

export async function startPeer (name: string, { folder, pem, config }: Ours): Promise<Program> {
  const pemFile = join(folder, 'key.pem')
  writeFileSync(pemFile, pem)
  if (name === 'HAProxy') return await startHaproxy(folder, pemFile)
  if (name === 'oidc-provider') return await start(['node', 'bench/servers/oidc-provider.ts', String(PORT)], { url: PEER_URL })
  return await start(['node', 'bench/servers/verifying.ts', name, String(PORT), pemFile, config.issuer], { url: PEER_URL })
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
  bind 127.0.0.1:${PORT}
  http-request return status 200 if { path / }
  http-request set-var(txn.bearer) http_auth_bearer
  http-request deny unless { var(txn.bearer),jwt_header_query('$.alg') -m str RS256 }
  http-request set-var(txn.alg) str(RS256)
  http-request deny unless { var(txn.bearer),jwt_verify(txn.alg,"${pemFile}") -m int 1 }
  http-request return status 200 ${headers.join(' ')}
`)
  return await start(['haproxy', '-db', '-f', file], { url: PEER_URL })
}
