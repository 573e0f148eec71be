/** Starts programs on a core of their own, and ends them. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Whoever is measured has this core, whoever measures the other. */
export const SERVER_CORE = '0'
export const CLIENT_CORE = '1'

export interface Program {
  pid: number
  /** What it has taken of its core until now: on a machine that is shared, the clock on the wall measures the neighbours. */
  cpuSeconds: () => number
  residentMiB: () => number
  stop: () => Promise<void>
}

/**
 * Keeps cores that wait from halting, until this process ends: on a virtual machine a server would pay for waking up the client with
 * each answer, and the more the slower it is; one whose client is another machine does not.
 * @returns false where that may not be asked for: it takes Linux, and root
 */
export function keepAwake (): boolean {
  try {
    writeSync(openSync('/dev/cpu_dma_latency', 'r+'), Buffer.alloc(4))
    return true
  } catch {
    return false
  }
}

export function isThere (program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** @param cores as taskset takes them, such as `0` or `0,1` */
function pinned (cores: string, command: readonly string[]): [string, string[]] {
  return isThere('taskset') ? ['taskset', ['-c', cores, ...command]] : [command[0] ?? '', command.slice(1)]
}

/** Waits until `url` answers. Throws with what the program wrote if it ends before, and if somebody else answers there already. */
export async function start (command: readonly string[], { url, cores = SERVER_CORE, environment = {} }: { url: string, cores?: string, environment?: Record<string, string> }): Promise<Program> {
  if (await answers(url)) throw new Error(`something answers at ${url} already, left by a measurement that was broken off: end it`)
  const [file, parameters] = pinned(cores, command)
  const child = spawn(file, parameters, { env: { ...process.env, ...environment }, stdio: ['ignore', 'ignore', 'pipe'] })
  let written = ''
  child.stderr.on('data', (chunk: Buffer) => { written += chunk.toString() })
  while (!await answers(url)) {
    if (child.exitCode !== null) throw new Error(`${command.join(' ')} has ended: ${written}`)
    await sleep(2)
  }
  return { pid: child.pid ?? 0, cpuSeconds: () => cpuSecondsOf(child.pid ?? 0), residentMiB: () => residentMiBOf(child.pid ?? 0), stop: async () => { await end(child) } }
}

const TICKS_A_SECOND = 100

/** User and system time of all threads (proc_pid_stat(5)). */
function cpuSecondsOf (pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND
}

function residentMiBOf (pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

async function answers (url: string): Promise<boolean> {
  return await fetch(url).then(async response => { await response.arrayBuffer(); return response.status < 500 }, () => false)
}

async function end (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

/** @returns what the program writes to stdout */
export function run (cores: string, command: readonly string[]): string {
  const [file, parameters] = pinned(cores, command)
  return execFileSync(file, parameters, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 64 * 1024 * 1024 })
}

/** Runs without blocking whoever waits: what is measured may be a server in this process. */
export async function runAside (cores: string, command: readonly string[]): Promise<string> {
  const [file, parameters] = pinned(cores, command)
  const child = spawn(file, parameters, { stdio: ['ignore', 'pipe', 'inherit'] })
  let written = ''
  child.stdout.on('data', (chunk: Buffer) => { written += chunk.toString() })
  const [code] = await once(child, 'close') as [number]
  if (code !== 0) throw new Error(`${command.join(' ')} failed: ${written}`)
  return written
}
