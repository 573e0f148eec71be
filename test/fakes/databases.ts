/** What tests of SQLite and of PostgreSQL have in common: databases that are closed in time, and all stores over one. */
import type { BotReader, BotWriter } from '../../src/bots/bot-registry.ts'
import { createAuditTrail } from '../../src/store/audit-table.ts'
import { createBotSteps } from '../../src/store/bot-step-table.ts'
import { createBotReader, createBotWriter, createSecretRegistry } from '../../src/store/bot-table.ts'
import { openDatabase, type Database, type DatabaseOptions } from '../../src/store/database.ts'
import { createKeyStore } from '../../src/store/key-table.ts'
import { createRevocationStore, createTokenRegistry } from '../../src/store/revocation-table.ts'
import type { MakeKeyStore } from '../conformance/key-store.ts'
import type { Stores } from '../conformance/stores.ts'
import { movableClock } from './clock.ts'
import { START } from './memory-rings.ts'
import type { Teardown } from './service.ts'

export async function openAt (t: Teardown, url: string, options: DatabaseOptions = {}): Promise<Database> {
  const database = await openDatabase(url, options)
  t.teardown(database.close)
  return database
}

export const botsIn = (database: Database): BotReader & BotWriter => ({ ...createBotReader(database), ...createBotWriter(database) })

export async function storesAt (t: Teardown, url: string): Promise<Stores> {
  const { clock, advance } = movableClock(START)
  const database = await openAt(t, url, { clock })
  return {
    bots: botsIn(database),
    botSteps: createBotSteps(database),
    secrets: createSecretRegistry(database),
    tokens: createTokenRegistry(database, clock),
    revocations: createRevocationStore(database),
    audit: createAuditTrail(database),
    version: async () => (await database.look(() => new Date())).version,
    advance
  }
}

export async function keysAt (t: Teardown, url: string): ReturnType<MakeKeyStore> {
  const database = await openAt(t, url)
  const trail = createAuditTrail(database)
  return {
    store: createKeyStore(database),
    again: async () => createKeyStore(await openAt(t, url)),
    trail: async () => (await trail.list({ limit: 50 })).toReversed()
  }
}
