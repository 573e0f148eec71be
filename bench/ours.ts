/** Our server as a user starts it: its own process, SQLite, everything on, LOG_LEVEL as it is by default. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { draftBot } from '../src/bots/bot-draft.ts'
import { newSecret } from '../src/bots/secret.ts'
import { readConfig, type Config } from '../src/config.ts'
import { openParts, type Parts } from '../src/parts.ts'
import { SYSTEM } from '../src/telemetry/audit.ts'
import { SERVER_CORE, start, type Program } from './programs.ts'

export interface Ours {
  url: string
  folder: string
  config: Config
  environment: Record<string, string>
  /** The same database, opened here, to make what is measured. */
  parts: Parts
  pem: string
  client: { clientId: string, clientSecret: string }
  serve: (options?: { cores?: string, environment?: Record<string, string> }) => Promise<Program>
  /** Writes new tokens to a file, one a line. @returns its name */
  mintTo: (name: string, count: number) => Promise<string>
  close: () => Promise<void>
}

const PORT = 18_590

export async function prepareOurs (): Promise<Ours> {
  const folder = mkdtempSync(join(tmpdir(), 'mintmark-bench-'))
  const environment = {
    NODE_COMPILE_CACHE: 'node_modules/.cache/compiled', // as `npm start` has it
    MINTMARK_PORT: String(PORT),
    MINTMARK_DATABASE_URL: `sqlite:${folder}/mintmark.db`,
    MINTMARK_MASTER_KEY_FILE: `${folder}/master.key`,
    MINTMARK_MAX_STALENESS: '24h', // of the parts here, which nobody keeps fresh
    MINTMARK_TOKEN_TTL: '24h'
  }
  const config = readConfig(environment)
  const parts = await openParts(config, pino({ level: 'silent' }))
  const { secret, stored } = newSecret('ingestion-bot', { now: new Date() })
  const bot = draftBot('ingestion-bot', { roles: ['IngestionBotRole'], scopes: ['metadata:read', 'metadata:write'] }, config.audience, new Date())
  await parts.bots.create(bot, stored, { ...SYSTEM, action: 'bot.created', target: bot.name })
  await parts.changes.catchUp()
  const signing = parts.ring.signing()
  const found = signing ? parts.ring.find(config.issuer, signing.kid) : undefined
  if (found?.found !== 'key') throw new Error('no key signs')

  return {
    url: `http://127.0.0.1:${PORT}`,
    folder,
    config,
    environment,
    parts,
    pem: found.key.pem,
    client: { clientId: bot.name, clientSecret: secret },
    serve: async ({ cores = SERVER_CORE, environment: more = {} } = {}) => await start(['node', 'src/cli.ts', 'serve'], { url: `http://127.0.0.1:${PORT}/health/ready`, cores, environment: { ...environment, ...more } }),
    async mintTo (name, count) {
      const tokens: string[] = []
      const one = async (): Promise<void> => {
        while (tokens.length < count) tokens.push((await parts.mint({ bot, scopes: bot.scopes, audiences: bot.audiences })).token)
      }
      await Promise.all(Array.from({ length: 16 }, one))
      const file = join(folder, name)
      writeFileSync(file, tokens.slice(0, count).join('\n'))
      return file
    },
    async close () {
      await parts.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
