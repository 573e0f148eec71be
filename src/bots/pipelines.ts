/** What a token is for: a pipeline, and one run of it. A bot that names its pipelines gets tokens for those only. */
import type { Bot } from './bot.ts'

export interface Work {
  readonly pipeline?: string | undefined
  readonly run?: string | undefined
}

/** Text for people and logs: 1 to 256 characters, none of them a control character. */
export const WORK_NAME_PATTERN = '^[^\\u0000-\\u001F\\u007F-\\u009F]{1,256}$'

/** @returns what is wrong with asking a token of `bot` for `work`, `null` if nothing is */
export function faultOfWork ({ pipelines }: Pick<Bot, 'pipelines'>, work: Work): { part: keyof Work, message: string } | null {
  for (const part of ['pipeline', 'run'] as const) {
    const name = work[part]
    if (name !== undefined && !new RegExp(WORK_NAME_PATTERN, 'u').test(name)) return { part, message: 'takes 1 to 256 characters, no control characters' }
  }
  if (pipelines.length === 0 || (work.pipeline !== undefined && pipelines.includes(work.pipeline))) return null
  return { part: 'pipeline', message: `${work.pipeline === undefined ? 'is missing' : 'is another'}: the bot gets tokens for its own pipelines only` }
}
