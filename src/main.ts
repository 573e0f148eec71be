/** The process: settings → parts → app → listen → close gracefully. */
import cluster from 'node:cluster'
import closeWithGrace from 'close-with-grace'
import { buildApp } from './app.ts'
import { startBackground } from './background.ts'
import type { Config } from './config.ts'
import { formatDuration } from './duration.ts'
import { pendingKeysAt } from './keys/signing-key.ts'
import { openParts, type Parts } from './parts.ts'
import { createLog, type Log } from './telemetry/log.ts'
import { ADMIN_SCOPE } from './verify/admins.ts'
import { startWorkers } from './workers.ts'

/** Whoever has not been answered by then will not be: the process has to end within ten seconds. */
const LONGEST_ANSWER_MS = 7_000

/** Serves until SIGTERM or Ctrl-C. Throws what `openParts` throws, or if the address cannot be listened on. */
export async function serve (config: Config, command: string): Promise<void> {
  const log = createLog(config.logLevel)
  if (cluster.isWorker) {
    await serveHere(await openParts(config, log), log)
    return
  }
  for (const warning of config.warnings) log.warn(warning)
  const parts = await openParts(config, log)
  await parts.importConfiguredKey()
  if (config.workers === 1) {
    await serveHere(parts, log)
    await greet(parts, log, command)
  } else {
    await greet(parts, log, command)
    await parts.close()
    startWorkers(config.workers, log)
  }
}

async function serveHere (parts: Parts, log: Log): Promise<void> {
  const { config } = parts
  const app = await buildApp(parts, log)
  await app.listen({ host: config.host, port: config.port, listenTextResolver: address => `listening on ${address}, issuer ${config.issuer}` })
  const endBackground = startBackground(parts, log)

  closeWithGrace({ delay: 9_000, logger: false }, async ({ signal, err }) => {
    if (err) log.fatal({ err }, 'closing after an error')
    else log.info(`closing on ${signal ?? 'request'}`)
    setTimeout(() => { app.server.closeAllConnections() }, LONGEST_ANSWER_MS).unref()
    await app.close()
    await endBackground()
    log.info('closed')
  })
}

/** What someone who starts it for the first time needs to know. */
async function greet ({ config, ring, bots, clock }: Parts, log: Log, command: string): Promise<void> {
  const next = pendingKeysAt(ring.all(), clock())[0]
  log.info(`key ${ring.signing()?.kid ?? 'none'} signs; ${next ? `${next.kid} follows at ${next.signsFrom.toISOString()}` : 'none follows yet'}`)
  const known = await bots.list({ limit: 200 })
  const anyAdmin = config.adminGroups.length > 0 || config.adminPrincipals.length > 0 || known.some(bot => bot.scopes.includes(ADMIN_SCOPE))
  if (!anyAdmin) {
    log.info(`nobody is admin yet: ${command} bot create admin-bot --admin --secret, or set MINTMARK_ADMIN_GROUPS`)
  }
  if (known.length === 0) {
    log.info(`make the first bot:      ${command} bot create ingestion-bot --scope metadata:write --secret`)
    log.info(`fetch its first token:   curl -u CLIENT_ID:CLIENT_SECRET -d grant_type=client_credentials ${config.publicUrl}/oauth/token`)
    log.info(`and see what it says:    curl -X POST -H "Authorization: Bearer TOKEN" ${config.publicUrl}/verify`)
  }
  log.info(`tokens live ${formatDuration(config.tokenTtlSeconds)}, keys sign for ${formatDuration(config.rotateEverySeconds)}; Ctrl-C ends it`)
}
