import type { CheckBot, Cutoff } from '../bots/bot-registry.ts'
import type { AuditDraft } from '../telemetry/audit.ts'
import type { RevokedRun } from './revocations.ts'

/** Takes tokens back. Every change is one transaction with its row in the audit trail. Throws `StoreUnavailable`. */
export interface TokenRegistry {
  /** @param exp seconds since the epoch */
  revokeToken: (jti: string, exp: number, event: AuditDraft) => Promise<void>
  /** Every token that was issued to `bot` before the cutoff. @returns false if there is no such bot */
  revokeTokensOf: (bot: string, check: CheckBot, cutoff: Cutoff, event: AuditDraft) => Promise<boolean>
  /** Every token that `bot` gets for the run, those of the future too. @returns false if there is no such bot */
  revokeRun: (run: RevokedRun, check: CheckBot, event: AuditDraft) => Promise<boolean>
}
