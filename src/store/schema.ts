/** The tables, as the newest migration leaves them. Points in time are epoch milliseconds, lists are JSON. */
import type { Selectable } from 'kysely'

export interface Tables {
  signing_keys: SigningKeyTable
  bots: BotTable
  secrets: SecretTable
  cognito_clients: { client_id: string, bot: string }
  revoked_tokens: { jti: string, exp: number, version: number }
  bot_cutoffs: { bot: string, not_before: number, until: number, version: number }
  revoked_runs: { bot: string, run: string, until: number, version: number }
  used_assertions: { bot: string, jti: string, until: number }
  audit: AuditTable
  legacy_keys: LegacyKeyTable
  live_tokens: { kid: string, bot: string, exp_minute: number, tokens: number }
  key_uses: { kid: string, issued: number, last_used_at: number }
  legacy_uses: { kid: string, bot: string, tokens: number, last_seen_at: number }
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

interface LegacyKeyTable {
  kid: string
  size: number
  modulus: string
  exponent: string
  issuer: string
  imported_at: number
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
  cognito_client_ids: string
  pipelines: string
  jwks: string
  trust: string
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

interface AuditTable {
  id: number
  at: number
  actor_kind: 'bot' | 'user' | 'cli' | 'system'
  actor_name: string
  action: string
  target: string | null
  outcome: 'done' | 'refused'
  detail: string
  request_id: string | null
}

/** One row. Its version counts up with every transaction that changes what other processes hold in memory. */
interface ChangeTable {
  id: number
  version: number
}

export type KeyRow = Selectable<SigningKeyTable>
export type LegacyKeyRow = Selectable<LegacyKeyTable>
export type BotRow = Selectable<BotTable>
export type SecretRow = Selectable<SecretTable>
export type AuditRow = Selectable<AuditTable>
