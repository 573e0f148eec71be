/**
 * The package's face for whoever runs the service in a process of his own: to embed it, or to test against the real one.
 * The same settings, parts and answers as `mintmark serve`, which adds what a process needs: address, workers, signals.
 */
import type { FastifyInstance } from 'fastify'
import { buildApp as buildRoutes } from './app.ts'
import { startBackground } from './background.ts'
import { isBotName } from './bots/bot.ts'
import { draftBot } from './bots/bot-draft.ts'
import { newSecret } from './bots/secret.ts'
import { configFromProcess, readConfig, type Config } from './config.ts'
import { openParts } from './parts.ts'
import { SYSTEM } from './telemetry/audit.ts'
import { createLog, type Log } from './telemetry/log.ts'
import { ADMIN_SCOPE } from './verify/admins.ts'

export { SettingsError } from './config.ts'

/** By their names in the environment: `{ MINTMARK_DATABASE_URL: 'sqlite:…', LOG_LEVEL: 'silent' }`. */
export type ServerSettings = Readonly<Record<string, string>>

export interface ServerOptions {
  /** A pino logger; by default JSON lines on stdout, from `LOG_LEVEL` up. */
  log?: Log
  /** What time it is; a test may move it. */
  clock?: () => Date
}

/**
 * Opens the database and builds the service over it. It looks after keys and database from `ready` until `close`, which
 * closes the database, too. Where it listens is the caller's business: `MINTMARK_HOST`, `_PORT` and `_WORKERS` do nothing here.
 * @param settings those of this process if left out: its environment and `.env`
 * @throws {@link SettingsError} with all faults at once; an error with a sentence for the operator if the master key or the
 * database cannot be used
 */
export async function buildApp (settings?: ServerSettings, { log: givenLog, clock }: ServerOptions = {}): Promise<FastifyInstance> {
  const config = configOf(settings)
  const log = givenLog ?? createLog(config.logLevel)
  for (const warning of config.warnings) log.warn(warning)
  const parts = await openParts(config, log, clock && { machineClock: clock })
  try {
    await parts.importConfiguredKey()
    const app = await buildRoutes(parts, log)
    let end = parts.close
    app.addHook('onReady', async () => { end = startBackground(parts, log) })
    app.addHook('onClose', async () => { await end() })
    return app
  } catch (error) {
    await parts.close()
    throw error
  }
}

/**
 * Makes a bot that is a full admin, as `mintmark bot create NAME --admin --secret` does: whoever has its token makes all
 * others at `/admin/bots`.
 * @param settings as for {@link buildApp}: the database that they name, whether a service runs on it or not
 * @throws `TypeError` if no bot can have that name; an error if there is one of that name already
 */
export async function createAdmin (name: string, settings?: ServerSettings): Promise<{ clientId: string, clientSecret: string }> {
  if (!isBotName(name)) throw new TypeError(`mintmark: "${name}" is no name for a bot: 1 to 64 of a-z, 0-9, ".", "_" and "-", with a letter or a digit at both ends`)
  const config = configOf(settings)
  const { bots, clock, close } = await openParts(config, createLog('error', process.stderr))
  try {
    const { secret, stored } = newSecret(name, { now: clock() })
    const admin = draftBot(name, { scopes: [ADMIN_SCOPE], audiences: [...new Set([...config.audience, config.issuer])] }, config.audience, clock())
    const outcome = await bots.create(admin, stored, { ...SYSTEM, action: 'bot.created', target: name, detail: { scopes: admin.scopes, audiences: admin.audiences, secret: stored.id } })
    if (outcome !== 'created') throw new Error(`there is a bot named ${name} already`)
    return { clientId: name, clientSecret: secret }
  } finally {
    await close()
  }
}

function configOf (settings: ServerSettings | undefined): Config {
  return settings === undefined ? configFromProcess() : readConfig(settings)
}
