/** `mintmark agent`: a token in a file, always a good one; a command with a token in its environment. */
import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { createAgent, type Agent } from '../agent/agent.ts'
import { codeOf, CommandUnusable, startCommand } from '../agent/command.ts'
import { OWNER_ONLY, writeTokenFile } from '../agent/token-file.ts'
import { TokenUnavailable } from '../client/token-error.ts'
import { realWorld, startTokenSource, type IssuedToken } from '../client/token-source.ts'
import { environmentForOthers } from '../config.ts'
import { createLog, type Log } from '../telemetry/log.ts'
import { readClient, withClientOptions, type ClientOptions } from './client.ts'
import { Failed, subcommand } from './output.ts'
import { asFailure, PATIENCE_SECONDS, showToken } from './token.ts'

interface AgentOptions extends ClientOptions {
  out?: string
  mode: number
  once?: true
  exec?: true
  execVar: string
}

const HELP = `
--out: the file is replaced in one step, so that a reader always finds a whole token; that it is there says that the agent is ready.
It is written anew at 80 % of the token's life. While the service is away the last token stays in place. A refusal that lasts
(five minutes while that token is good, else at the second try) ends the agent with 1; SIGTERM ends it with 0.

--exec: all that follows is the command. It inherits the environment, but for secrets of mintmark. When it ends, the agent ends
with its exit code; signals are passed on to it. What is in the variable cannot change while it runs: a command that outlives a
token should read the file of --out, which is kept fresh for it. Without --out nothing is renewed.`

export function addAgentCommand (program: Command): void {
  const command = withClientOptions(subcommand(program, 'agent', 'keep a fresh token of a bot in a file, or run a command with one'))
    .option('--out <file>', 'where the token is kept')
    .addOption(new Option('--mode <mode>', 'of that file, as 0640 for a reader in its group').argParser(mode).default(OWNER_ONLY, '0600'))
    .option('--once', 'write it once, and end')
    .option('--exec', 'run a command with a token: --exec COMMAND…')
    .option('--exec-var <name>', 'the variable that the token is in', variable, 'OM_JWT_TOKEN')
    .argument('[command...]', 'of --exec')
    .passThroughOptions()
    .addHelpText('after', HELP)
  command.action(async (words: string[], options: AgentOptions) => {
    assertUsage(words, options, command)
    process.exitCode = await run(words, options, command)
  })
}

function assertUsage (words: string[], { out, exec, execVar, json }: AgentOptions, command: Command): void {
  if (exec && words.length === 0) command.error('error: --exec takes a command')
  if (!exec && words.length > 0) command.error('error: a command follows --exec')
  if (!exec && out === undefined) command.error('error: --out takes the file for the token; without it only --exec makes sense')
  if (!exec && execVar !== 'OM_JWT_TOKEN') command.error('error: --exec-var goes with --exec')
  if (json && exec) command.error('error: --json would mix with what the command prints; the log is JSON anyway, on stderr')
}

async function run (words: string[], options: AgentOptions, command: Command): Promise<number> {
  const { out, once = false, exec = false } = options
  const stopping = stopBySignal()
  const { source: sourceOptions, settings } = readClient(options, command, realWorld, stopping.signal)
  const log = createLog(settings.logLevel, process.stderr)
  const file = out === undefined ? undefined : resolve(out)
  if (file !== undefined) assertPlace(file)
  const source = startTokenSource({ ...sourceOptions, patienceSeconds: once ? PATIENCE_SECONDS : Infinity, onFailure: logWaiting(log) })
  const renews = file !== undefined && !once
  const agent = createAgent({ source, save: saveTo(file, options), place: file ?? 'the environment of the command', renews, log, signal: stopping.signal, world: realWorld })
  try {
    const first = await agent.refresh()
    if (exec) return await runCommand(words, first, { agent, options, log, stopping, renews })
    if (!once) await agent.keepFresh()
    return 0
  } catch (error) {
    const signal = stopping.signal.reason as NodeJS.Signals | undefined
    if (signal === undefined) return asFailure(error)
    log.info(`ended by ${signal}`)
    return exec ? codeOf(signal) : 0 // the command has not run
  }
}

interface CommandParts {
  agent: Agent
  options: AgentOptions
  log: Log
  stopping: ReturnType<typeof stopBySignal>
  renews: boolean
}

async function runCommand (words: string[], { token }: IssuedToken, { agent, options, log, stopping, renews }: CommandParts): Promise<number> {
  const running = await startCommand(words, { ...environmentForOthers(), [options.execVar]: token }).catch((error: unknown) => {
    throw error instanceof CommandUnusable ? new Failed(error.message) : error
  })
  stopping.leave() // from now on signals are the command's
  if (renews) {
    agent.keepFresh().catch((error: unknown) => {
      if (!stopping.signal.aborted) log.error(`the token is not renewed any more; the command runs on: ${(error as Error).message}`)
    })
  }
  const code = await running.ended
  stopping.stop('SIGTERM')
  return code
}

function stopBySignal (): { signal: AbortSignal, stop: (signal: NodeJS.Signals) => void, leave: () => void } {
  const ending = new AbortController()
  const stop = (signal: NodeJS.Signals): void => { ending.abort(signal) }
  const signals = ['SIGTERM', 'SIGINT'] as const
  for (const signal of signals) process.on(signal, stop)
  return { signal: ending.signal, stop, leave () { for (const signal of signals) process.off(signal, stop) } }
}

function saveTo (file: string | undefined, { mode, json }: AgentOptions): (issued: IssuedToken) => Promise<void> {
  return async issued => {
    if (file === undefined) return
    await writeTokenFile(file, issued.token, mode).catch((error: unknown) => {
      throw new Failed(`the token cannot be written to ${file}: ${(error as Error).message}`, { cause: error })
    })
    const { token: _, ...shown } = showToken(issued)
    if (json) console.log(JSON.stringify({ file, ...shown }))
  }
}

/** What is wrong from the start is said before anything is asked for. */
function assertPlace (file: string): void {
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory()) throw new Failed(`--out takes a file: ${file} is a folder`)
  if (!statSync(dirname(file), { throwIfNoEntry: false })?.isDirectory()) throw new Failed(`--out: the folder ${dirname(file)} is not there: make it, or mount it`)
}

function logWaiting (log: Log): (error: unknown, nextTryAt: Date) => void {
  return (error, nextTryAt) => {
    if (error instanceof TokenUnavailable) log.warn({ nextTryAt }, `no new token yet: ${error.message}`)
  }
}

function mode (text: string): number {
  const bits = /^0?[0-7]{3}$/.test(text) ? parseInt(text, 8) : 0
  if ((bits & 0o400) === 0) throw new InvalidArgumentError('It takes a mode in octal whose owner may read, such as 0600 or 0640.')
  if ((bits & 0o133) !== 0) throw new InvalidArgumentError('Nobody needs to run the file, and nobody but its owner to write it: 0600, 0640, 0644.')
  return bits
}

function variable (text: string): string {
  if (!/^[A-Za-z_]\w*$/.test(text)) throw new InvalidArgumentError('It takes the name of an environment variable.')
  return text
}
