/** The real service over a real database in a temporary folder, with a clock that the test moves. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { buildApp } from '../../src/app.ts'
import { draftBot, type BotDraft } from '../../src/bots/bot-draft.ts'
import { newSecret } from '../../src/bots/secret.ts'
import { readConfig } from '../../src/config.ts'
import { openParts, type Parts } from '../../src/parts.ts'
import { SYSTEM, type AuditDraft } from '../../src/telemetry/audit.ts'
import type { Log } from '../../src/telemetry/log.ts'
import { movableClock, type MovableClock } from './clock.ts'

/** What a test gives to have things undone at its end: tap's `t`. */
export interface Teardown {
  teardown: (undo: () => Promise<void> | void) => void
}

export interface Service extends MovableClock {
  app: FastifyInstance
  parts: Parts
  /** Makes a bot with a secret. */
  bot: (name: string, draft?: BotDraft) => Promise<{ clientId: string, clientSecret: string }>
  /** Fetches a token at the endpoint, as a pipeline does. */
  token: (client: { clientId: string, clientSecret: string }, parameters?: Record<string, string>) => Promise<string>
  /** Makes a bot that is a full admin, and fetches its token. */
  adminToken: () => Promise<string>
}

export function temporaryFolder (t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'mintmark-'))
  t.teardown(() => { rmSync(folder, { recursive: true, force: true }) })
  return folder
}

/** What a test's own change says of itself in the audit trail. */
export const TEST_EVENT: AuditDraft = { ...SYSTEM, action: 'test', target: null }

export const silentLog = pino({ level: 'silent' })

/** Nothing looks at the database while a test moves the clock; a test of staleness sets its own. */
const NEVER_STALE = { MINTMARK_MAX_STALENESS: '3650d' }

export async function startService (t: Teardown, environment: Record<string, string> = {}, time = movableClock(), log: Log = silentLog): Promise<Service> {
  const folder = temporaryFolder(t)
  const config = readConfig({ MINTMARK_DATABASE_URL: `sqlite:${folder}/mintmark.db`, MINTMARK_MASTER_KEY_FILE: `${folder}/master.key`, ...NEVER_STALE, ...environment })
  const parts = await openParts(config, log, { machineClock: time.clock, overlapMs: 0 })
  const app = await buildApp(parts, log)
  t.teardown(async () => {
    await app.close()
    await parts.close()
  })

  const bot: Service['bot'] = async (name, draft = {}) => {
    const { secret, stored } = newSecret(name, { now: time.clock() })
    await parts.bots.create(draftBot(name, draft, config.audience, time.clock()), stored, { ...SYSTEM, action: 'bot.created', target: name })
    await parts.changes.catchUp()
    return { clientId: name, clientSecret: secret }
  }
  const token: Service['token'] = async ({ clientId, clientSecret }, parameters = {}) => {
    const response = await app.inject({
      method: 'POST',
      url: '/oauth/token',
      headers: { authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`, 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({ grant_type: 'client_credentials', ...parameters }).toString()
    })
    if (response.statusCode !== 200) throw new Error(`no token: ${response.body}`)
    return response.json<{ access_token: string }>().access_token
  }
  const adminToken = async (): Promise<string> => await token(await bot('admin-bot', { scopes: ['admin'], audiences: [...config.audience, config.issuer] }))
  return { ...time, app, parts, bot, token, adminToken }
}
