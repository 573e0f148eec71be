/** The service of the story: `mintmark serve` in a process of its own, and what operators, bots, admins and APIs ask of it. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ask, type Answer, type Credentials } from './http.ts'
import { freePort, type Environment, type Stage } from './stage.ts'
import type { Say } from './telling.ts'

export interface Service {
  /** Its public address, which is the `iss` of its tokens. */
  url: string
  /** What the service and the command line both read: one database, one master key. */
  env: Environment
}

/** A bot as `bot create --secret --json` prints it. */
export interface CreatedBot {
  name: string
  scopes: string[]
  audiences: string[]
  clientId: string
  clientSecret: string
}

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

/** Starts the service on a free port, with neither a database nor a master key yet, and waits until it is ready. */
export async function startService (stage: Stage, userPool: { issuer: string, clientId: string }): Promise<Service> {
  const port = await freePort()
  const url = `http://localhost:${port}`
  const env = {
    MINTMARK_PORT: String(port),
    MINTMARK_PUBLIC_URL: url,
    MINTMARK_DATABASE_URL: `sqlite:${join(stage.folder, 'mintmark.db')}`,
    MINTMARK_MASTER_KEY_FILE: join(stage.folder, 'master.key'),
    AUTHENTICATION_PROVIDER: 'aws-cognito',
    AUTHENTICATION_AUTHORITY: userPool.issuer,
    AUTHENTICATION_CLIENT_ID: userPool.clientId,
    LOG_LEVEL: 'warn'
  }
  await stage.serve({ name: 'mintmark serve', args: [CLI, 'serve'], env }, `${url}/health/ready`)
  return { url, env }
}

/** Makes a bot on the command line, beside the running service. */
export async function createBot (say: Say, stage: Stage, { env }: Service, name: string, options: readonly string[]): Promise<CreatedBot> {
  const args = ['bot', 'create', name, ...options, '--secret', '--json']
  say.asked(`mintmark ${args.join(' ')}`)
  return JSON.parse(await stage.run({ name: `mintmark ${args.join(' ')}`, args: [CLI, ...args], env })) as CreatedBot
}

export async function askToken (say: Say, { url }: Service, { clientId, clientSecret }: CreatedBot): Promise<Answer> {
  return await ask(say, 'POST', `${url}/oauth/token`, { credentials: { clientId, clientSecret }, form: { grant_type: 'client_credentials' } })
}

export async function askVerify (say: Say, { url }: Service, token: string): Promise<Answer> {
  return await ask(say, 'POST', `${url}/verify`, { credentials: { bearer: token } })
}

export async function askJwks (say: Say, { url }: Service): Promise<Answer> {
  return await ask(say, 'GET', `${url}/.well-known/jwks.json`)
}

export async function askKeys (say: Say, { url }: Service, credentials: Credentials): Promise<Answer> {
  return await ask(say, 'GET', `${url}/admin/keys`, { credentials })
}

export async function askRotation (say: Say, { url }: Service, credentials: Credentials, wish: { force: true } | { emergency: true, reason: string }): Promise<Answer> {
  return await ask(say, 'POST', `${url}/admin/keys/rotate`, { credentials, json: wish })
}
