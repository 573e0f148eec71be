/**
 * What the story starts, and how all of it ends: child processes, a server, a temporary folder. Knows nothing of the story.
 * Children see nothing of the reader's environment, and no `.env` of theirs: a demo must not touch what they have set up.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'

export type Environment = Readonly<Record<string, string>>

export interface Program {
  /** How the reader knows it. */
  name: string
  args: readonly string[]
  env: Environment
  /** The stage's folder by default. */
  cwd?: string
}

export interface Stage {
  /** Fresh, and removed at the end. */
  readonly folder: string
  /** Starts a Node program that ends with the stage, and waits until it answers at `readyUrl`. */
  serve: (program: Program, readyUrl: string) => Promise<void>
  /** Runs a Node program to its end. Throws if that is not a good one. @returns what it wrote on stdout */
  run: (program: Program) => Promise<string>
  /** `end` is called when the stage closes. */
  onClose: (end: () => Promise<void>) => void
  /** The last words of the programs that serve: for whoever has to find out why the story broke off. */
  lastWords: () => Promise<string>
  /** Ends all that was started, and removes the folder. */
  close: () => Promise<void>
}

interface Running {
  name: string
  child: ChildProcess
  output: { stdout: string, stderr: string }
}

const READY_WITHIN_MS = 20_000
const RUN_WITHIN_MS = 20_000
/** The service promises to end within 10 seconds. */
const ENDS_WITHIN_MS = 11_000

export async function openStage (): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'mintmark-demo-'))
  const servers: Running[] = []
  const ends: Array<() => Promise<void>> = []
  let closed = false

  function start ({ name, args, env, cwd = folder }: Program): Running {
    if (closed) throw new Error(`the demo is over: ${name} is not started any more`)
    const child = spawn(process.execPath, args, { cwd, env: { PATH: process.env.PATH, NODE_NO_WARNINGS: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => { output.stdout += text })
    child.stderr.setEncoding('utf8').on('data', (text: string) => { output.stderr += text })
    child.on('error', error => { output.stderr += error.message })
    ends.push(async () => { await end(child) })
    return { name, child, output }
  }

  return {
    folder,
    onClose (end) {
      // What the story had begun to start when it was broken off is ended as soon as it is there.
      if (closed) void end()
      else ends.push(end)
    },
    async serve (program, readyUrl) {
      const running = start(program)
      servers.push(running)
      await untilReady(running, readyUrl)
    },
    async run (program) {
      const { name, child, output } = start(program)
      const tooLong = setTimeout(() => { child.kill() }, RUN_WITHIN_MS)
      await once(child, 'close')
      clearTimeout(tooLong)
      if (child.exitCode !== 0) throw new Error(`${name} ended with ${endOf(child)}: ${output.stderr.trim()}`)
      return output.stdout
    },
    async lastWords () {
      // A program that died a moment ago is known to be dead a moment later.
      await sleep(100)
      return servers.map(wordsOf).join('\n')
    },
    async close () {
      closed = true
      const outcomes = await Promise.allSettled(ends.map(async end => { await end() }))
      await rm(folder, { recursive: true, force: true, maxRetries: 3 })
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    }
  }
}

/** @returns a port of 127.0.0.1 that nothing listens on now */
export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function untilReady ({ name, child }: Running, url: string): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS
  while (!await answersWell(url)) {
    if (hasEnded(child)) throw new Error(`${name} ended with ${endOf(child)} before it was ready`)
    if (Date.now() > deadline) throw new Error(`${name} was not ready within ${READY_WITHIN_MS / 1000} s`)
    await sleep(25)
  }
}

async function answersWell (url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1_000) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

async function end (child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  // Whoever does not listen is not asked twice: nothing of the demo may outlive it.
  const force = setTimeout(() => { child.kill('SIGKILL') }, ENDS_WITHIN_MS)
  await ended
  clearTimeout(force)
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const endOf = (child: ChildProcess): string => child.signalCode ?? `exit code ${child.exitCode ?? 'unknown'}`

function wordsOf ({ name, child, output }: Running): string {
  const lines = stripVTControlCharacters(`${output.stdout}\n${output.stderr}`).split('\n').filter(line => line.trim() !== '').slice(-10)
  return [`${name} ${hasEnded(child) ? `has ended with ${endOf(child)}` : 'is running'}${lines.length > 0 ? ', and said:' : ''}`, ...lines.map(line => `  ${line}`)].join('\n')
}
