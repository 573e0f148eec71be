/** Our server as a user starts it: its own process, SQLite, everything on, LOG_LEVEL as it is by default. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
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
  /** Writes new tokens to a file, one a line, of as many bots by turns; 0: all of the one that there is always. @returns its name */
  mintTo: (name: string, count: number, bots?: number) => Promise<string>
  /** @returns the file's name */
  write: (name: string, lines: readonly string[]) => string
  adminToken: () => Promise<string>
  close: () => Promise<void>
}

const PORT = 18_590
/** What `npm start` runs. */
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: { start: string } }

/** How large an installation is, beside the bot that every one has. */
export interface Size {
  bots: number
  revocations: number
  keys: number
}

const SMALL: Size = { bots: 0, revocations: 0, keys: 2 }

/** @param port where its servers listen: installations wait for their turns side by side */
export async function prepareOurs (port = PORT, size: Size = SMALL): Promise<Ours> {
  const folder = mkdtempSync(join(tmpdir(), 'mintmark-bench-'))
  const environment = {
    MINTMARK_PORT: String(port),
    MINTMARK_DATABASE_URL: `sqlite:${folder}/mintmark.db`,
    MINTMARK_MASTER_KEY_FILE: `${folder}/master.key`,
    MINTMARK_MAX_STALENESS: '24h', // of the parts here, which nobody keeps fresh
    MINTMARK_TOKEN_TTL: '24h'
  }
  const config = readConfig(environment)
  const parts = await openParts(config, pino({ level: 'silent' }))
  const { secret, stored } = newSecret('ingestion-bot', { now: new Date() })
  const bot = draftBot('ingestion-bot', { roles: ['IngestionBotRole'], scopes: ['metadata:read', 'metadata:write'] }, config.audience, new Date())
  fill(`${folder}/mintmark.db`, size, stored.digest)
  await parts.bots.create(bot, stored, { ...SYSTEM, action: 'bot.created', target: bot.name })
  await parts.changes.catchUp()
  while (parts.ring.all().length < size.keys) {
    await parts.rotator.rotate({ kind: 'forced' }, SYSTEM)
    await parts.changes.catchUp()
  }
  const signing = parts.ring.signing()
  const found = signing ? parts.ring.find(config.issuer, signing.kid) : undefined
  if (found?.found !== 'key') throw new Error('no key signs')

  const write: Ours['write'] = (name, lines) => {
    const file = join(folder, name)
    writeFileSync(file, lines.join('\n'))
    return file
  }

  return {
    url: `http://127.0.0.1:${port}`,
    folder,
    config,
    environment,
    parts,
    pem: found.key.pem,
    client: { clientId: bot.name, clientSecret: secret },
    serve: async ({ cores = SERVER_CORE, environment: more = {} } = {}) => await start(['sh', '-c', scripts.start], { url: `http://127.0.0.1:${port}/health/ready`, cores, environment: { ...environment, ...more } }),
    async mintTo (name, count, bots = 0) {
      const tokens: string[] = []
      let begun = 0
      const one = async (): Promise<void> => {
        while (begun < count) {
          const number = begun++
          const of = bots === 0 ? bot : { ...bot, name: `bot-${number % bots + 1}` }
          tokens.push((await parts.mint({ bot: of, scopes: bot.scopes, audiences: bot.audiences })).token)
        }
      }
      await Promise.all(Array.from({ length: 16 }, one))
      return write(name, tokens)
    },
    write,
    adminToken: async () => (await parts.mint({ bot: { ...bot, name: 'admin-bot' }, scopes: ['admin'], audiences: [config.issuer] })).token,
    async close () {
      await parts.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** Straight into the tables: by the API it would take minutes. All bots have one secret. */
function fill (file: string, { bots, revocations }: Size, digest: string): void {
  const database = new DatabaseSync(file)
  const numbers = (count: number): string => `WITH RECURSIVE n(i) AS (SELECT 1 WHERE ${count} > 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`
  const now = Date.now()
  database.exec(`${numbers(bots)} INSERT INTO bots SELECT 'bot-' || i, null, null, '["IngestionBotRole"]', '["metadata:read","metadata:write"]', '["metadata-api"]', null, '[]', '[]', '[]', '[]', 1, ${now}, ${now} FROM n`)
  database.exec(`${numbers(bots)} INSERT INTO secrets SELECT 'secret-' || i, 'bot-' || i, '${digest}', null, ${now}, null, null FROM n`)
  database.exec(`${numbers(revocations)} INSERT INTO revoked_tokens SELECT 'revoked-token-' || i, ${Math.floor(now / 1000) + 86_400}, 1 FROM n`)
  database.close()
}
