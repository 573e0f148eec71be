/** From the bots that there are to those that a file asks for: which steps it takes, as a pure function, and where they are carried out at once. */
import { isDeepStrictEqual } from 'node:util'
import type { AuditDraft } from '../telemetry/audit.ts'
import type { Bot } from './bot.ts'
import { draftBot, type BotDraft } from './bot-draft.ts'
import type { Cutoff } from './bot-registry.ts'

export interface WantedBot {
  readonly name: string
  /** What it leaves out is as in a new bot, but for `enabled`: a bot that was switched off stays so until it is asked for. */
  readonly draft: BotDraft
}

export type BotStep =
  | { readonly is: 'creation', readonly bot: Bot }
  | { readonly is: 'change', readonly before: Bot, readonly bot: Bot, readonly fields: readonly BotField[] }
  | { readonly is: 'deletion', readonly bot: Bot }

export interface BotPlan {
  readonly steps: readonly BotStep[]
  readonly unchanged: readonly string[]
  /** Bots that the file lacks, and that stay. */
  readonly left: readonly string[]
  /** All bots as they are afterwards. */
  readonly outcome: readonly Bot[]
}

export interface PlanPolicy {
  /** Delete the bots that the file lacks. */
  readonly prune: boolean
  readonly defaultAudiences: readonly string[]
}

export const BOT_FIELDS = ['displayName', 'email', 'roles', 'scopes', 'audiences', 'tokenTtlSeconds', 'cognitoClientIds', 'pipelines', 'enabled', 'jwks', 'trust'] as const satisfies ReadonlyArray<keyof Bot>
export type BotField = (typeof BOT_FIELDS)[number]

/** Where all bots can be seen and changed in one transaction. */
export interface BotSteps {
  /**
   * `decide` sees the latest state, and may throw to refuse: then nothing is changed.
   * @param cutoff for the tokens of bots that are deleted
   * @param eventsOf what each step says of itself in the audit trail
   */
  carryOut: (decide: (bots: readonly Bot[]) => readonly BotStep[], cutoff: Cutoff, eventsOf: (step: BotStep) => readonly AuditDraft[]) => Promise<void>
}

export function planBots (present: readonly Bot[], wanted: readonly WantedBot[], { prune, defaultAudiences }: PlanPolicy, now: Date): BotPlan {
  const before = new Map(present.map(bot => [bot.name, bot]))
  const steps: BotStep[] = []
  const unchanged: string[] = []
  for (const { name, draft } of wanted) {
    const known = before.get(name)
    const bot = draftBot(name, { enabled: known?.enabled ?? true, ...draft }, defaultAudiences, now)
    const fields = known ? BOT_FIELDS.filter(field => !isDeepStrictEqual(known[field], bot[field])) : []
    if (!known) steps.push({ is: 'creation', bot })
    else if (fields.length > 0) steps.push({ is: 'change', before: known, bot: { ...bot, createdAt: known.createdAt }, fields })
    else unchanged.push(name)
  }
  const missing = present.filter(({ name }) => !wanted.some(each => each.name === name))
  if (prune) steps.push(...missing.map(bot => ({ is: 'deletion', bot } as const)))
  return { steps, unchanged, left: prune ? [] : missing.map(({ name }) => name), outcome: outcomeOf(before, steps) }
}

function outcomeOf (before: ReadonlyMap<string, Bot>, steps: readonly BotStep[]): Bot[] {
  const after = new Map(before)
  for (const step of steps) {
    if (step.is === 'deletion') after.delete(step.bot.name)
    else after.set(step.bot.name, step.bot)
  }
  return [...after.values()]
}

/** @returns machine clients of a user pool that more than one bot would stand for, each with the bots */
export function clientsOfSeveral (bots: readonly Bot[]): ReadonlyArray<{ clientId: string, names: string[] }> {
  const names = Map.groupBy(bots.flatMap(({ name, cognitoClientIds }) => cognitoClientIds.map(clientId => ({ clientId, name }))), ({ clientId }) => clientId)
  return [...names].filter(([, owners]) => owners.length > 1).map(([clientId, owners]) => ({ clientId, names: owners.map(({ name }) => name) }))
}
