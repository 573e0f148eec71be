/** `MINTMARK_WORKERS`: several processes serve one port as one service. */
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { openShell, type Server } from './fakes/pool-processes.ts'
import { temporaryFolder } from './fakes/service.ts'

t.setTimeout(60_000)

/** Of the primary. */
function workersOf ({ process: { pid } }: Server): number[] {
  return execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)]).toString().trim().split(/\s+/).map(Number)
}

async function until (holds: () => boolean | Promise<boolean>): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await holds()) return true
    await new Promise(resolve => { setTimeout(resolve, 100) })
  }
  return false
}

await t.test('two workers', async t => {
  const shell = openShell(t, temporaryFolder(t))
  const server = await shell.serve({ MINTMARK_WORKERS: '2' })
  t.ok(await until(() => workersOf(server).length === 2))
  const { clientSecret } = await shell.json<{ clientSecret: string }>('bot', 'create', 'ingestion-bot', '--secret')
  const askToken = async (): Promise<Response> => await fetch(`${server.url}/oauth/token`, {
    method: 'POST', headers: { connection: 'close' }, body: new URLSearchParams({ grant_type: 'client_credentials', client_id: 'ingestion-bot', client_secret: clientSecret })
  })
  t.ok(await until(async () => (await askToken()).ok), 'both hear of what the command line did')

  await t.test('count as one', async t => {
    const issued = async (): Promise<number> => Number(/mintmark_tokens_issued_total\{grant="client_credentials"\} (\d+)/.exec(await (await fetch(`${server.url}/metrics`)).text())?.[1] ?? 0)
    await new Promise(resolve => { setTimeout(resolve, 700) })
    const before = await issued()
    for (let token = 0; token < 12; token++) t.equal((await askToken()).status, 200)
    t.equal(await issued(), before + 12)
    t.match(await (await fetch(`${server.url}/metrics`)).text(), /mintmark_keys\{state="signing"\} 1\n/)
  })

  await t.test('one that dies is replaced', async t => {
    const [victim] = workersOf(server)
    process.kill(victim ?? 0, 'SIGKILL')
    t.ok(await until(() => workersOf(server).length === 2 && !workersOf(server).includes(victim ?? 0)))
    t.ok(await until(async () => (await askToken().catch(() => null))?.ok ?? false))
  })

  t.equal((await server.end('SIGTERM')).code, 0)
})
