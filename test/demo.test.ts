/** `npm run demo` as a reader runs it: the command of package.json, in a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { temporaryFolder } from './fakes/service.ts'

const root = new URL('../', import.meta.url)
const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { scripts: { demo: string } }
const [program, ...args] = scripts.demo.split(' ')

t.setTimeout(120_000)

/** Starts the demo. `interruptAfter`: a text that it is interrupted at. */
async function runDemo (environment: Record<string, string>, interruptAfter?: string): Promise<{ exitCode: number | null, stdout: string, stderr: string }> {
  const child = spawn(process.execPath, args, { cwd: fileURLToPath(root), env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += stripVTControlCharacters(text)
    if (interruptAfter !== undefined && text.includes(interruptAfter)) {
      // Twice: the terminal sends it, and npm passes it on.
      child.kill('SIGINT')
      child.kill('SIGINT')
    }
  })
  await once(child, 'close')
  return { exitCode: child.exitCode, stdout, stderr }
}

await t.test('the story is told to its end, whatever the reader\'s environment says, and leaves nothing behind', async t => {
  const TMPDIR = temporaryFolder(t)
  const { exitCode, stdout, stderr } = await runDemo({ TMPDIR, MINTMARK_PORT: '1', MINTMARK_ISSUER: 'nowhere', AUTHENTICATION_PROVIDER: 'nobody' })
  t.equal(program, 'node')
  t.equal(exitCode, 0, { stderr })
  t.match(stdout, /\n(\d+) of \1 steps did what they say, in \d+\.\d s\n$/)
  t.match(stdout, /401 key_revoked/)
  t.notMatch(stdout, /eyJ[\w-]+\.|mmk_\w{10}/, 'it shows no token and no secret whole')
  t.strictSame(readdirSync(TMPDIR), [])
})

await t.test('Ctrl-C in the middle of it ends all that it started', async t => {
  const TMPDIR = temporaryFolder(t)
  const { exitCode, stdout } = await runDemo({ TMPDIR }, 'The service starts')
  t.equal(exitCode, 130)
  t.strictSame(readdirSync(TMPDIR), [])
  const addresses = new Set(stdout.match(/http:\/\/(?:localhost|127\.0\.0\.1):\d+/g))
  t.ok(addresses.size >= 2, 'the emulator and the service were running')
  for (const address of addresses) {
    await t.rejects(fetch(address), { message: 'fetch failed' }, `nothing listens at ${address} any more`)
  }
})
