/** The audit trail: one row for every change, written in the transaction of the change itself, and one for every refused admin call. */

export interface Actor {
  readonly kind: 'bot' | 'user' | 'cli' | 'system'
  readonly name: string
}

/** What an act says of itself. Never a secret. */
export interface AuditDraft {
  readonly actor: Actor
  /** `bot.created`, `key.revoked`, … */
  readonly action: string
  /** Name of the bot, kid of the key. */
  readonly target: string | null
  readonly outcome?: 'done' | 'refused'
  readonly detail?: Record<string, unknown>
  readonly requestId?: string | null
}

export interface AuditEvent extends Required<AuditDraft> {
  /** Counts up. */
  readonly id: number
  readonly at: Date
}

export interface AuditQuery {
  readonly limit: number
  /** Only events older than the one of this id. */
  readonly before?: number | undefined
  /** Name of the actor. */
  readonly actor?: string | undefined
  readonly action?: string | undefined
}

/** Where the trail is kept. Append-only. Throws `StoreUnavailable`. */
export interface AuditTrail {
  append: (events: readonly AuditDraft[]) => Promise<void>
  /** The newest first. */
  list: (query: AuditQuery) => Promise<readonly AuditEvent[]>
}

/** Who acts, and by which request: what a part needs to know to say who did it. */
export interface By {
  readonly actor: Actor
  readonly requestId?: string | null
}

export const SYSTEM: By = { actor: { kind: 'system', name: 'mintmark' } }
