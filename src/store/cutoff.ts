import type { Transaction } from 'kysely'
import type { Cutoff } from '../bots/bot-registry.ts'
import type { Tables } from './schema.ts'

/** Makes every token that was issued to `bot` before the cutoff dead. A cutoff only ever moves later. */
export async function cutOff (transaction: Transaction<Tables>, bot: string, cutoff: Cutoff, version: number): Promise<void> {
  const before = await transaction.selectFrom('bot_cutoffs').selectAll().where('bot', '=', bot).executeTakeFirst()
  const row = {
    bot,
    not_before: Math.max(cutoff.notBefore, before?.not_before ?? 0),
    until: Math.max(cutoff.until, before?.until ?? 0),
    version
  }
  await transaction.insertInto('bot_cutoffs').values(row).onConflict(conflict => conflict.column('bot').doUpdateSet(row)).execute()
}
