/** The tables, as the newest migration leaves them. Points in time are epoch milliseconds, lists are JSON. */
import type { Insertable, Selectable } from 'kysely'

export interface Tables {
  signing_keys: SigningKeyTable
  bots: BotTable
  secrets: SecretTable
  changes: ChangeTable
}

interface SigningKeyTable {
  kid: string
  size: number
  origin: 'generated' | 'imported'
  modulus: string
  exponent: string
  sealed_private_key: string | null
  issuers: string
  published_at: number
  signs_from: number
  signs_until: number | null
  verifies_until: number
  revoked_at: number | null
  revoked_reason: string | null
}

interface BotTable {
  name: string
  display_name: string | null
  email: string | null
  roles: string
  scopes: string
  audiences: string
  token_ttl_seconds: number | null
  enabled: number
  created_at: number
  updated_at: number
}

interface SecretTable {
  id: string
  bot: string
  digest: string
  description: string | null
  created_at: number
  expires_at: number | null
  last_used_at: number | null
}

/** One row. Its version counts up with every transaction that changes what other processes hold in memory. */
interface ChangeTable {
  id: number
  version: number
}

export type KeyRow = Selectable<SigningKeyTable>
export type BotRow = Selectable<BotTable>
export type SecretRow = Selectable<SecretTable>
export type NewKeyRow = Insertable<SigningKeyTable>
