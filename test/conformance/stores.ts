/** What the suites of bots, secrets, tokens and the audit trail have in common: each works on all of a database. */
import type { Test } from 'tap'
import { draftBot, type BotDraft } from '../../src/bots/bot-draft.ts'
import type { Bot, StoredSecret } from '../../src/bots/bot.ts'
import type { BotSteps } from '../../src/bots/bot-plan.ts'
import type { BotReader, BotWriter, SecretRegistry, SecretUses } from '../../src/bots/bot-registry.ts'
import { newSecret } from '../../src/bots/secret.ts'
import type { AuditDraft, AuditTrail } from '../../src/telemetry/audit.ts'
import type { RevocationStore } from '../../src/tokens/revocations.ts'
import type { TokenRegistry } from '../../src/tokens/token-registry.ts'
import { START } from '../fakes/memory-rings.ts'

export interface Stores {
  bots: BotReader & BotWriter
  botSteps: BotSteps
  secrets: SecretRegistry & SecretUses
  tokens: TokenRegistry
  revocations: RevocationStore
  audit: AuditTrail
  /** Counts up with every change that other processes need to know of. */
  version: () => Promise<number>
  /** Moves the clock of the stores, which starts at {@link START}. */
  advance: (seconds: number) => void
}

/** Opens new, empty ones over one database. */
export type MakeStores = (t: Test) => Promise<Stores>

export const plainBot = (name: string, draft: BotDraft = {}): Bot => draftBot(name, draft, ['metadata-api'], START)
export const plainSecret = (bot: string, now = START): StoredSecret => newSecret(bot, { now }).stored

/** What somebody does, in the words of the audit trail. */
export const act = (action: string, target: string | null = null): AuditDraft => ({ actor: { kind: 'user', name: 'alice' }, action, target })

/** For arrangements that a test is not about. */
export const GIVEN = act('given')

/** A check, or a change, that refuses. */
export const refuse = (): never => { throw new Error('refused') }
export const allow = (): void => {}

/** Nobody should ask. */
export const unasked = (): never => { throw new Error('not to be asked') }

/** All that can be seen of the stores. */
async function everythingIn ({ bots, secrets, revocations, audit, version }: Stores): Promise<object> {
  const everybody = await bots.list({ limit: 200 })
  return {
    bots: everybody,
    secrets: await Promise.all(everybody.map(async ({ name }) => await secrets.list(name))),
    revocations: await revocations.changedSince(0),
    trail: await audit.list({ limit: 200 }),
    version: await version()
  }
}

/** Asserts that `attempt` leaves no trace in the stores. @returns what it answered */
export async function leavesNoTrace<T> (t: Test, stores: Stores, attempt: () => Promise<T>): Promise<T> {
  const before = await everythingIn(stores)
  const answer = await attempt()
  t.strictSame(await everythingIn(stores), before, 'it leaves no trace')
  return answer
}

/** Asserts that `attempt` fails with `message` and leaves no trace. */
export async function isRefused (t: Test, stores: Stores, attempt: () => Promise<unknown>, message = 'refused'): Promise<void> {
  await leavesNoTrace(t, stores, async () => await t.rejects(attempt(), { message }))
}
