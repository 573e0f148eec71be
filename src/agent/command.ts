/** Runs a command as if it stood in this process's place: its terminal, its signals, its exit code. */
import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'

export class CommandUnusable extends Error {}

const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const
/** A terminal sends these to every program in it: a second one would be taken for impatience. */
const OF_THE_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT']

export interface Running {
  /** Its exit code, as a shell gives it: 128 and the signal's number, where one has ended it. */
  ended: Promise<number>
}

/** Starts it. Rejects with {@link CommandUnusable} if that cannot be done. */
export async function startCommand ([program = '', ...words]: readonly string[], environment: NodeJS.ProcessEnv): Promise<Running> {
  const child = spawn(program, words, { stdio: 'inherit', env: environment })
  const forwarding = forwardSignals(child)
  const ended = new Promise<number>(resolve => {
    child.once('exit', (code, signal) => {
      forwarding.stop()
      resolve(code ?? codeOf(signal ?? 'SIGKILL'))
    })
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', error => {
      forwarding.stop()
      reject(new CommandUnusable(`--exec: ${program} cannot be started: ${error.message}. Give each of its words as one: --exec sh -c "…" runs a line of shell`, { cause: error }))
    })
  })
  return { ended }
}

/** What a shell says of a program that `signal` has ended. */
export function codeOf (signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

function forwardSignals (child: ChildProcess): { stop: () => void } {
  const forwards = FORWARDED.map(signal => ({
    signal,
    forward: () => { if (!(process.stdin.isTTY && OF_THE_TERMINAL.includes(signal))) child.kill(signal) }
  }))
  for (const { signal, forward } of forwards) process.on(signal, forward)
  return { stop () { for (const { signal, forward } of forwards) process.off(signal, forward) } }
}
