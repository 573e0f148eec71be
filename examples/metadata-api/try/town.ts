/** All that takes part, started on this machine: mintmark, a user pool with people in it, a bot with a secret, and the metadata API. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { addToGroup, createGroup, createPublicClient, createUser, createUserPool, startCognito, type Cognito, type User } from '../../demo/cognito.ts'
import { askToken, createBot, startService, type CreatedBot, type Service } from '../../demo/service.ts'
import type { Environment, Stage } from '../../demo/stage.ts'
import type { Say } from '../../demo/telling.ts'
import { startPoolIssuer } from './hosted-ui.ts'

/** What a metadata API needs around it. */
export interface Surroundings {
  service: Service
  cognito: Cognito
  poolId: string
  /** What the metadata API runs with. */
  env: Environment
  bot: CreatedBot
}

export interface Town extends Surroundings {
  url: string
}

export const PEOPLE = {
  ada: { username: 'ada', email: 'ada@open-metadata.org', password: 'Engine-No-1843' },
  grace: { username: 'grace', email: 'grace@open-metadata.org', password: 'Compiler-No-1952' },
  barbara: { username: 'barbara', email: 'barbara@open-metadata.org', password: 'Abstraction-No-1974' }
} as const satisfies Record<string, User>
const GROUPS = { ada: 'analysts', grace: 'analysts', barbara: 'admins' } as const

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const TABLES = {
  customers: 'One row for each customer, from the shop\'s database.',
  orders: 'One row for each order. Cancelled ones stay, with their date.',
  payments: 'What was paid, and how.'
}
const QUIET: Say = { asked () { /* nobody listens */ }, got () { /* nobody listens */ } }

/** @param url of the metadata API, which is not started here */
export async function startSurroundings (stage: Stage, url: string): Promise<Surroundings> {
  const issuer = await startPoolIssuer()
  stage.onClose(issuer.close)
  const cognito = await startCognito(stage, issuer.url)
  issuer.serve(cognito.url)
  const pool = await makePool(cognito, `${url}/callback`)
  const authority = `${issuer.url}/${pool.id}`

  const service = await startService(stage, { issuer: authority, clientId: pool.clientId })
  const bot = await createBot(QUIET, stage, service, 'ingestion-bot', ['--scope', 'metadata:write'])

  const env = {
    AUTHENTICATION_PROVIDER: 'aws-cognito',
    AUTHENTICATION_AUTHORITY: authority,
    AUTHENTICATION_CLIENT_ID: pool.clientId,
    AUTHENTICATION_CALLBACK_URL: `${url}/callback`,
    MINTMARK_ISSUER: service.url,
    MINTMARK_ADMIN_GROUPS: '[admins]',
    DATABASE_FILE: join(stage.folder, 'metadata.db'),
    LOG_LEVEL: 'warn'
  }
  return { service, cognito, poolId: pool.id, env, bot }
}

/** @param port of the metadata API; all others are free ones */
export async function startTown (stage: Stage, port: number): Promise<Town> {
  const url = `http://localhost:${port}`
  const surroundings = await startSurroundings(stage, url)
  const { service, bot, env } = surroundings
  await stage.serve({ name: 'metadata API', args: [MAIN], env }, `${url}/signed-out`)

  const town = { url, ...surroundings }
  const token = await fetchToken(service, bot)
  for (const [name, description] of Object.entries(TABLES)) await writeTable(town, token, name, description)
  return town
}

export async function fetchToken (service: Service, bot: CreatedBot): Promise<string> {
  const { status, body } = await askToken(QUIET, service, bot)
  if (status !== 200) throw new Error(`mintmark gives ${bot.clientId} no token: ${JSON.stringify(body)}`)
  return (body as { access_token: string }).access_token
}

async function writeTable ({ url }: Town, token: string, name: string, description: string): Promise<void> {
  const { ok, status } = await fetch(`${url}/api/v1/tables/${name}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ description })
  })
  if (!ok) throw new Error(`the metadata API does not take ${name}: ${status}`)
}

async function makePool (cognito: Cognito, callbackUrl: string): Promise<{ id: string, clientId: string }> {
  const id = await createUserPool(cognito, 'people')
  const { clientId } = await createPublicClient(cognito, id, 'metadata-api', [callbackUrl])
  for (const group of new Set(Object.values(GROUPS))) await createGroup(cognito, id, group)
  for (const user of Object.values(PEOPLE)) {
    await createUser(cognito, id, user)
    await addToGroup(cognito, id, user, GROUPS[user.username])
  }
  return { id, clientId }
}
