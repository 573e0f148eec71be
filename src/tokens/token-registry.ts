import type { CheckBot, Cutoff } from '../bots/bot-registry.ts'
import type { AuditDraft } from '../telemetry/audit.ts'

/** Takes tokens back. Every change is one transaction with its row in the audit trail. Throws `StoreUnavailable`. */
export interface TokenRegistry {
  /** @param exp seconds since the epoch */
  revokeToken: (jti: string, exp: number, event: AuditDraft) => Promise<void>
  /** Every token that was issued to `bot` before the cutoff. @returns false if there is no such bot */
  revokeTokensOf: (bot: string, check: CheckBot, cutoff: Cutoff, event: AuditDraft) => Promise<boolean>
}
