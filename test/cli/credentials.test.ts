/** `mintmark bot jwks` and `mintmark bot trust`, as processes. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openShell } from '../fakes/pool-processes.ts'
import { temporaryFolder } from '../fakes/service.ts'

t.setTimeout(120_000)

const folder = temporaryFolder(t)
const shell = openShell(t, folder, { MINTMARK_TRUSTED_ISSUERS: 'https://token.actions.githubusercontent.com' })
const write = (name: string, content: unknown): void => { writeFileSync(join(folder, name), JSON.stringify(content, null, 2)) }

const KEY = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', kid: 'one' }
const RULE = { issuer: 'https://token.actions.githubusercontent.com', audience: 'https://tokens.example.com', subject: 'repo:acme/pipelines:*' }

await t.test('a bot gets its keys and its rules from files, and the trail says so', async t => {
  await shell.run('bot', 'create', 'ingestion-bot')
  write('keys.json', { keys: [KEY] })
  write('trust.json', [RULE])
  t.match(await shell.run('bot', 'jwks', 'ingestion-bot', 'keys.json'), { code: 0, stdout: 'ingestion-bot authenticates with 1 key\n' })
  t.match(await shell.run('bot', 'trust', 'ingestion-bot', 'trust.json'), { code: 0, stdout: 'ingestion-bot trusts by 1 rule\n' })
  t.strictSame(await shell.json('bot', 'jwks', 'ingestion-bot', 'keys.json'), { keys: [KEY] }, 'as the admin API answers')
  t.strictSame(await shell.json('bot', 'trust', 'ingestion-bot', 'trust.json'), [RULE])
  const { bots: [exported] } = await shell.json<{ bots: Array<{ jwks: unknown, trust: unknown }> }>('export')
  t.strictSame(exported?.jwks, { keys: [KEY] })
  t.strictSame(exported?.trust, [RULE])
})

await t.test('what is wrong is said by line, and nothing changes', async t => {
  write('private.json', { keys: [{ ...KEY, d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A' }] })
  write('stranger.json', [{ ...RULE, issuer: 'https://elsewhere.example', subject: '*' }])
  write('shape.json', { rules: [] })
  const refused: Array<[args: string[], stderr: RegExp]> = [
    [['jwks', 'ingestion-bot', 'private.json'], /private\.json:3: keys\.0 /],
    [['jwks', 'ingestion-bot', 'shape.json'], /shape\.json:\d: .*rules/],
    [['jwks', 'ingestion-bot', 'nowhere.json'], /nowhere\.json cannot be read: ENOENT/],
    [['trust', 'ingestion-bot', 'stranger.json'], /stranger\.json:3: 0\.issuer [^]*stranger\.json:5: 0\.subject /],
    [['trust', 'ingestion-bot', 'keys.json'], /keys\.json:1: rules must be array/],
    [['jwks', 'nobody', 'keys.json'], /there is no bot named nobody/]
  ]
  for (const [args, stderr] of refused) {
    const { code, stderr: said } = await shell.run('bot', ...args)
    t.equal(code, 1, args.join(' '))
    t.match(said, stderr, args.join(' '))
  }
  t.match(await shell.run('bot', 'trust', 'Not A Name', 'trust.json'), { code: 2 })
  t.match(await shell.json('export'), { bots: [{ jwks: { keys: [KEY] }, trust: [RULE] }] })
})
