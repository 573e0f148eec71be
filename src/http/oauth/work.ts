/** `mintmark_pipeline` and `mintmark_run`: what a token is asked for. */
import type { Bot } from '../../bots/bot.ts'
import { faultOfWork, type Work } from '../../bots/pipelines.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parameters } from './parameters.ts'

const PARAMETERS = { pipeline: 'mintmark_pipeline', run: 'mintmark_run' } as const

export function workAskedFor ({ get }: Parameters): Work {
  return { pipeline: get(PARAMETERS.pipeline), run: get(PARAMETERS.run) }
}

/** Throws `invalid_request` if a token of `bot` may not be for that. */
export function assertMayWork (bot: Bot, work: Work): void {
  const fault = faultOfWork(bot, work)
  if (fault) throw new OAuthError('invalid_request', `${PARAMETERS[fault.part]} ${fault.message}`)
}
