import type { Transaction } from 'kysely'
import type { BotStep, BotSteps } from '../bots/bot-plan.ts'
import { botFromRow, botToRow, saveClients } from './bot-table.ts'
import { cutOff } from './cutoff.ts'
import type { Database } from './database.ts'
import { record } from './record.ts'
import type { Tables } from './schema.ts'

export function createBotSteps (database: Database): BotSteps {
  return {
    async carryOut (decide, cutoff, eventsOf) {
      await database.write(async (transaction, now) => {
        const steps = decide((await transaction.selectFrom('bots').selectAll().orderBy('name').execute()).map(botFromRow))
        if (steps.length === 0) return
        const version = await record(transaction, now, ...steps.flatMap(eventsOf))
        // A machine client may go from one bot to another: all are freed before any is taken.
        await transaction.deleteFrom('cognito_clients').where('bot', 'in', steps.map(({ bot }) => bot.name)).execute()
        for (const step of steps) {
          await take(transaction, step)
          if (step.is === 'deletion') await cutOff(transaction, step.bot.name, cutoff, version)
        }
        for (const { is, bot } of steps) if (is !== 'deletion') await saveClients(transaction, bot)
      })
    }
  }
}

async function take (transaction: Transaction<Tables>, { is, bot }: BotStep): Promise<void> {
  switch (is) {
    case 'creation': await transaction.insertInto('bots').values(botToRow(bot)).execute(); break
    case 'change': await transaction.updateTable('bots').set(botToRow(bot)).where('name', '=', bot.name).execute(); break
    case 'deletion': await transaction.deleteFrom('bots').where('name', '=', bot.name).execute(); break
  }
}
