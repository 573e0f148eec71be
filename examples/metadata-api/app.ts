/** A metadata API in small: what programs ask for under `/api/v1`, and the same tables as pages for people. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import mintmark from 'mintmark'
import { api } from './api.ts'
import { browser } from './browser.ts'
import { openSessions } from './sessions.ts'
import type { Settings } from './settings.ts'
import { openTables } from './tables.ts'
import { createUserPool } from './user-pool.ts'

/** @param clock for what is written down, and for how long people stay signed in; tokens are judged by the machine's clock */
export async function buildApp (settings: Settings, options: FastifyServerOptions = {}, clock = (): Date => new Date()): Promise<FastifyInstance> {
  const app = Fastify({ trustProxy: settings.trustProxy, ...options })

  await app.register(mintmark, {
    issuer: settings.issuer,
    allowHttp: settings.allowHttp,
    audience: settings.audience,
    cognito: { issuer: settings.authority, clientId: settings.clientId, principalClaims: settings.principalClaims },
    principalDomain: settings.principalDomain,
    enforcePrincipalDomain: settings.enforcePrincipalDomain,
    adminPrincipals: settings.adminPrincipals,
    adminGroups: settings.adminGroups
  })

  const database = openDatabase(settings.databaseFile)
  app.addHook('onClose', async () => { database.close() })
  const tables = openTables(database)
  const sessions = openSessions(database, clock)

  // Each in a scope of its own: cookies mean nothing to the API, so no other site can use them there.
  await app.register(api, { prefix: '/api/v1', tables, clock })
  await app.register(browser, { settings, tables, sessions, userPool: createUserPool({ ...settings, clock }), clock })
  return app
}

function openDatabase (file: string): DatabaseSync {
  if (file !== ':memory:') mkdirSync(dirname(file), { recursive: true })
  const database = new DatabaseSync(file)
  database.exec('PRAGMA journal_mode = WAL')
  return database
}
