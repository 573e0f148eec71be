/** `npm run example:metadata-api` as a reader runs it: the command of package.json, in a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import t from 'tap'
import { temporaryFolder } from '../../fakes/service.ts'
import { freePort } from '../../fakes/shell.ts'

t.setTimeout(120_000)

const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }
const [program, ...args] = scripts['example:metadata-api']?.split(' ') ?? []

/** @param onText told all that it has said so far, whenever it says more */
async function run (environment: Record<string, string>, onText: (child: ChildProcess, text: string) => void = () => { /* let it run */ }): Promise<{ exitCode: number | null, stdout: string, stderr: string }> {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stderr.on('data', text => { stderr += String(text) })
  child.stdout.on('data', text => {
    stdout += String(text)
    onText(child, stdout)
  })
  await once(child, 'close')
  return { exitCode: child.exitCode, stdout, stderr }
}

await t.test('it says where to look and who may sign in, and Ctrl-C ends all of it', async t => {
  const TMPDIR = temporaryFolder(t)
  const port = await freePort()
  const { exitCode, stdout, stderr } = await run({ TMPDIR, PORT: String(port), MINTMARK_PORT: '1', AUTHENTICATION_AUTHORITY: 'nowhere' }, (child, text) => {
    // Twice: the terminal sends it, and npm passes it on.
    if (text.includes('Ctrl-C')) for (const signal of ['SIGINT', 'SIGINT'] as const) child.kill(signal)
  })
  t.equal(program, 'node')
  t.equal(exitCode, 130, { stderr })
  t.match(stdout, `http://localhost:${port}\n`)
  for (const name of ['ada', 'grace', 'barbara']) t.match(stdout, new RegExp(`^ +${name} +\\S+$`, 'm'))
  t.strictSame(readdirSync(TMPDIR), [])
  await t.rejects(fetch(`http://localhost:${port}`), { message: 'fetch failed' })
})

await t.test('a port that is in use is named, with what to do', async t => {
  const server = createServer()
  server.listen(0, 'localhost')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  const { port } = server.address() as { port: number }
  const { exitCode, stderr } = await run({ PORT: String(port) })
  t.equal(exitCode, 1)
  t.match(stderr, new RegExp(`^Port ${port} is in use\\. .*PORT=8586 npm run example:metadata-api\n$`))
})
