/** A reader's machine: a checkout that has never run, a shell, and programs that run beside it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { symlinkSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryFolder, type Teardown } from './service.ts'

export interface Checkout {
  folder: string
  /** Runs a program until the test is over, and waits until `address` answers. */
  start: (command: string, address: string) => Promise<void>
  /** Runs a script in bash, which stops at the first command that fails. */
  bash: (script: string) => Promise<{ exitCode: number | null, stdout: string, stderr: string }>
}

const ROOT = new URL('../..', import.meta.url).pathname
const OURS = /^(?:MINTMARK|AUTHENTICATION|AUTHORIZER)_|^LOG_LEVEL$|_FILE$/

/** @param environment set for everything that runs in the checkout; settings of whoever runs the test are left out */
export function freshCheckout (t: Teardown, environment: Record<string, string>): Checkout {
  const folder = temporaryFolder(t)
  for (const name of ['package.json', 'src', 'node_modules']) symlinkSync(join(ROOT, name), join(folder, name))
  const env = { ...inherited(), ...environment }

  return {
    ...freshShell(folder, environment),
    folder,

    async start (command, address) {
      const child = spawn('bash', ['-c', `exec ${command}`], { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
      t.teardown(async () => { await end(child) })
      const output = collect(child)
      while (!await answers(address)) {
        if (child.exitCode !== null) throw new Error(`${command} ended: ${output.stdout}${output.stderr}`)
        await sleep(50)
      }
    }
  }
}

/** A shell alone, in a folder of the test's own. */
export function freshShell (folder: string, environment: Record<string, string>): Pick<Checkout, 'bash'> {
  return {
    async bash (script) {
      const child = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder, env: { ...inherited(), ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
      const output = collect(child)
      await once(child, 'close')
      return { exitCode: child.exitCode, ...output }
    }
  }
}

function inherited (): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !OURS.test(name)))
}

export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  return port
}

function collect (child: ChildProcess): { stdout: string, stderr: string } {
  const output = { stdout: '', stderr: '' }
  child.stdout?.on('data', chunk => { output.stdout += String(chunk) })
  child.stderr?.on('data', chunk => { output.stderr += String(chunk) })
  return output
}

/** Ends a program with whatever it started, as Ctrl-C in its terminal does. */
async function end (child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  process.kill(-child.pid, 'SIGINT')
  await once(child, 'exit')
}

async function answers (address: string): Promise<boolean> {
  return await fetch(address).then(() => true, () => false)
}
