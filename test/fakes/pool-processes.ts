/** Runs the command line as an operator does: a process of its own, in a folder of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Teardown } from './service.ts'
import { freePort } from './shell.ts'

const CLI = resolve('src/cli.ts')

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

export interface Shell {
  folder: string
  /** Runs a command to its end. */
  run: (...words: string[]) => Promise<Outcome>
  /** The same, with other settings or with something on stdin. */
  runWith: (options: { settings?: Record<string, string>, stdin?: string }, ...words: string[]) => Promise<Outcome>
  /** Runs a command with `--json`, and reads what it answers. Throws if it fails. */
  json: <T>(...words: string[]) => Promise<T>
  /** Starts the service, and waits until it answers. */
  serve: (settings?: Record<string, string>) => Promise<Server>
}

export interface Server {
  url: string
  process: ChildProcess
  output: () => string
  /** Sends a signal, and waits for the end. */
  end: (signal: NodeJS.Signals) => Promise<Outcome & { milliseconds: number }>
}

/** What a process inherits: nothing that is a setting of ours. */
function inherited (): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(?:MINTMARK_|AUTHENTICATION_|AUTHORIZER_|LOG_LEVEL$|RSA_|JWT_)/.test(name)))
}

export function openShell (t: Teardown, folder: string, settings: Record<string, string> = {}): Shell {
  const started = new Set<ChildProcess>()
  t.teardown(() => { for (const child of started) child.kill('SIGKILL') })

  function start (words: string[], more: Record<string, string> = {}): { child: ChildProcess, outcome: Promise<Outcome>, output: () => string } {
    const child = spawn(process.execPath, [CLI, ...words], { cwd: folder, env: { ...inherited(), NODE_COMPILE_CACHE: join(tmpdir(), 'mintmark-compiled'), ...settings, ...more } })
    started.add(child)
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString() })
    child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString() })
    const outcome = new Promise<Outcome>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', code => {
        started.delete(child)
        resolve({ code, stdout, stderr })
      })
    })
    return { child, outcome, output: () => stdout + stderr }
  }

  const runWith: Shell['runWith'] = async ({ settings: more, stdin = '' }, ...words) => {
    const { child, outcome } = start(words, more)
    child.stdin?.on('error', () => { /* it has ended already */ })
    child.stdin?.end(stdin)
    return await outcome
  }

  return {
    folder,
    runWith,
    run: async (...words) => await runWith({}, ...words),

    async json<T> (...words: string[]): Promise<T> {
      const { code, stdout, stderr } = await runWith({}, ...words, '--json')
      if (code !== 0) throw new Error(`${words.join(' ')}: ${stderr}`)
      return JSON.parse(stdout) as T
    },

    async serve (more = {}) {
      const port = more.MINTMARK_PORT ?? await freePort()
      const url = `http://127.0.0.1:${port}`
      const { child, outcome, output } = start(['serve'], { MINTMARK_PORT: String(port), ...more })
      const deadline = Date.now() + 60_000 // of a busy machine; the promise is five seconds
      for (;;) {
        const answered = await fetch(`${url}/health/ready`).then(response => response.ok, () => false)
        if (answered) break
        if (child.exitCode !== null || Date.now() > deadline) throw new Error(`it does not serve: ${output()}`)
        await new Promise(resolve => { setTimeout(resolve, 50) })
      }
      return {
        url,
        process: child,
        output,
        async end (signal) {
          const startedAt = Date.now()
          child.kill(signal)
          return { ...await outcome, milliseconds: Date.now() - startedAt }
        }
      }
    }
  }
}
