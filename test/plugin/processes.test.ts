/** The service, its operator's command line and a metadata API, each in a process of its own: by nothing but HTTP. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { openShell } from '../fakes/pool-processes.ts'
import { temporaryFolder } from '../fakes/service.ts'
import { freePort } from '../fakes/shell.ts'

t.setTimeout(120_000)

const PLUGIN = new URL('../../src/index.ts', import.meta.url).href

interface Api {
  /** What it says of a token: whom it speaks for, or why it is refused. */
  verdict: (token: string) => Promise<string>
  /** Closes it. @returns how its process ended */
  close: () => Promise<number | null>
}

async function startApi (t: Test, issuer: string): Promise<Api> {
  const port = await freePort()
  const file = join(temporaryFolder(t), 'api.ts')
  writeFileSync(file, `
    import Fastify from '${import.meta.resolve('fastify')}'
    import mintmark from '${PLUGIN}'
    const app = Fastify()
    await app.register(mintmark, { issuer: '${issuer}', audience: 'metadata-api' })
    app.get('/', { onRequest: app.authenticate }, async request => request.principal.name)
    await app.listen({ port: ${port} })
    process.once('SIGTERM', () => { void app.close() })
  `)
  const child = spawn(process.execPath, [file], { stdio: 'inherit' })
  t.teardown(() => { child.kill('SIGKILL') })
  const url = `http://localhost:${port}/`
  while (!await fetch(url).then(() => true, () => false)) await sleep(50)
  return {
    async verdict (token) {
      const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
      return answer.ok ? await answer.text() : (await answer.json() as { code: string }).code
    },
    async close () {
      child.kill('SIGTERM')
      await once(child, 'exit')
      return child.exitCode
    }
  }
}

await t.test('what an operator takes back is refused by an API elsewhere; a restart of the service is not noticed', async t => {
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const shell = openShell(t, temporaryFolder(t), { MINTMARK_PUBLIC_URL: issuer, LOG_LEVEL: 'silent' })
  const service = await shell.serve({ MINTMARK_PORT: String(port) })
  const { verdict, close } = await startApi(t, issuer)
  /** Says how long it took, of the fifteen seconds that are promised; waits for longer, as a busy machine may. */
  const becomes = async (token: string, expected: string): Promise<void> => {
    const startedAt = Date.now()
    while (await verdict(token) !== expected && Date.now() < startedAt + 60_000) await sleep(250)
    t.comment(`${expected} after ${(Date.now() - startedAt) / 1000} s`)
    t.equal(await verdict(token), expected)
  }
  const botToken = async (name: string): Promise<string> => {
    const { clientId, clientSecret } = await shell.json<{ clientId: string, clientSecret: string }>('bot', 'create', name, '--secret')
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret })
    for (;;) {
      const answer = await fetch(`${issuer}/oauth/token`, { method: 'POST', body })
      if (answer.ok) return (await answer.json() as { access_token: string }).access_token
      await sleep(100) // a running server obeys within two seconds
    }
  }
  const [one, two] = [await botToken('one-bot'), await botToken('two-bot')]
  t.equal(await verdict(one), 'one-bot')

  await shell.run('bot', 'disable', 'one-bot')
  await becomes(one, 'bot_disabled')
  await shell.run('bot', 'enable', 'one-bot')
  await becomes(one, 'one-bot')

  await service.end('SIGTERM')
  t.equal(await verdict(two), 'two-bot', 'while the service is away')
  await shell.run('key', 'rotate', '--emergency', '--reason', 'drill')
  t.equal(await verdict(two), 'two-bot', 'nobody can hear of it')
  await shell.serve({ MINTMARK_PORT: String(port) })
  await becomes(two, 'key_revoked')
  t.equal(await verdict(await botToken('three-bot')), 'three-bot')
  t.equal(await close(), 0, 'closing it ends the process: nothing holds it')
})
