/**
 * The whole story against real parts: a bot gets a token, a user signs in, one middleware knows both, a key rotates, a key is revoked.
 * `npm run demo` runs it unattended. Exit 0: every step did what it says; 1: one did not, and the story breaks off; 128 + n: signal n ended it.
 * No token in it is made by hand, and nothing of it is left behind.
 */
import { constants } from 'node:os'
import { startCognito } from './cognito.ts'
import { openStage, type Stage } from './stage.ts'
import {
  becomeAdmin, bothKnow, BOT, fetchToken, fetchUnderNewKey, hasHeard, isRefused, kidOf, makeBot, makeUserPool, pluginKnows,
  revokeInEmergency, rotate, signInAs, startGuarded, startOnNothing, USER, userBy, verifyKnows, workGoesOn
} from './steps.ts'
import { createTelling, type Step } from './telling.ts'

async function story (stage: Stage, step: Step): Promise<void> {
  const cognito = await startCognito(stage)
  const pool = await step('A user pool, a public app client and a user are made at the emulator', async say => await makeUserPool(say, cognito))
  const service = await step('The service starts on an empty database, and publishes two keys', async say => await startOnNothing(say, stage, pool))
  const api = await step('A metadata API starts with the plugin, and lets nobody in without a token', async say => await startGuarded(say, stage, service, pool))
  const doors = { service, api }

  const bot = await step('An operator makes a bot with a secret', async say => await makeBot(say, stage, service))
  const oldToken = await step('The bot fetches a token', async say => await fetchToken(say, service, bot))
  const known = await step('POST /verify knows the bot', async say => await verifyKnows(say, service, oldToken, BOT))
  await step('The metadata API knows it too, through the plugin', async say => { await pluginKnows(say, api, oldToken, known) })

  const tokens = await step('A user signs in at the emulator', async say => await signInAs(say, cognito, pool, USER))
  await step('Both doors know the user by the id token', async say => { await bothKnow(say, doors, tokens.idToken, userBy('id', pool)) })
  await step('Both doors know the user by the access token', async say => { await bothKnow(say, doors, tokens.accessToken, userBy('access', pool)) })

  const adminToken = await step('An operator makes the first admin, who fetches a token', async say => await becomeAdmin(say, stage, service))
  const secondKey = await step('The admin rotates the key', async say => await rotate(say, service, adminToken, kidOf(oldToken)))
  await step('The old bot token still verifies', async say => { await bothKnow(say, doors, oldToken, BOT) })
  const newToken = await step('A new one carries the new kid, and the JWKS holds both keys', async say => await fetchUnderNewKey(say, doors, bot, kidOf(oldToken), secondKey))

  const thirdKey = await step('The new key leaks: the admin revokes it in an emergency', async say => await revokeInEmergency(say, service, adminToken, secondKey))
  await step('The token that it signed is refused with key_revoked', async say => { await isRefused(say, service, newToken) })
  await step('Work goes on: the third key signs, and what the first one signed is still good', async say => { await workGoesOn(say, doors, bot, oldToken, thirdKey) })
  await step('The metadata API hears of it by the revocation feed, and says the same', async say => { await hasHeard(say, api, newToken) })
}

async function perform (step: Step): Promise<void> {
  const interrupted = interruption()
  const stage = await openStage()
  try {
    await Promise.race([story(stage, step), interrupted])
  } catch (error) {
    if (!(error instanceof Interrupted)) console.error(await stage.lastWords())
    throw error
  } finally {
    await stage.close()
  }
}

/** Rejects when the reader ends the story before its end, or no longer listens. */
async function interruption (): Promise<never> {
  return await new Promise((_resolve, reject) => {
    // npm passes on a Ctrl-C that the terminal has sent already: a second one must not break off the clearing up.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => { reject(new Interrupted(signal)) })
    for (const stream of [process.stdout, process.stderr]) stream.on('error', reject)
  })
}

class Interrupted extends Error {
  readonly exitCode: number

  constructor (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') {
    super(`on ${signal}, and everything that it started is ended`)
    this.exitCode = 128 + constants.signals[signal]
  }
}

/** `fetch failed` says little, its cause says why. */
function reasonOf ({ message, cause }: Error): string {
  const { code, message: why } = (cause ?? {}) as Partial<NodeJS.ErrnoException>
  return [message, why === '' ? code : why].filter(Boolean).join(': ')
}

const telling = createTelling(console.log)
try {
  await perform(telling.step)
  console.log(telling.summary())
} catch (error) {
  console.error(`The story breaks off after ${telling.summary()}: ${reasonOf(error as Error)}`)
  process.exitCode = error instanceof Interrupted ? error.exitCode : 1
}
