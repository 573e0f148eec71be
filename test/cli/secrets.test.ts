/** Secrets that change without downtime (contract 9), and what doctor says of those that end, and of workload issuers. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createSecretRegistry } from '../../src/store/bot-table.ts'
import { openDatabase } from '../../src/store/database.ts'
import { openShell } from '../fakes/pool-processes.ts'
import { temporaryFolder } from '../fakes/service.ts'
import { makeSigner } from '../fakes/signers.ts'

t.setTimeout(120_000)

interface Secret { id: string, secret: string, createdAt: string, expiresAt: string | null }
interface Findings { healthy: boolean, findings: Array<{ check: string, outcome: string, found: string, advice?: string }> }

await t.test('secret create --expires-others', async t => {
  const shell = openShell(t, temporaryFolder(t))
  await shell.json('bot', 'create', 'ingestion-bot', '--secret')
  const soon = await shell.json<Secret>('secret', 'create', 'ingestion-bot', '--expires-in', '1h')
  const next = await shell.json<Secret>('secret', 'create', 'ingestion-bot', '--expires-others', '3d')
  t.equal(next.expiresAt, null)
  const { secrets } = await shell.json<{ secrets: Secret[] }>('secret', 'list', 'ingestion-bot')
  const lives = secrets.map(({ id, expiresAt }) => id === next.id ? 'endless' : id === soon.id ? expiresAt : Math.round((Date.parse(expiresAt ?? '') - Date.parse(next.createdAt)) / 1000))
  t.same(lives, ['endless', soon.expiresAt, 3 * 86_400], 'the others end then, and none later than before')
  t.equal((await shell.run('secret', 'create', 'ingestion-bot', '--expires-others', 'soon')).code, 2)

  const database = await openDatabase(`sqlite:${join(shell.folder, 'data/mintmark.db')}`)
  t.teardown(database.close)
  const first = secrets.at(-1)?.id ?? ''
  await createSecretRegistry(database).record(new Map([[first, new Date()], [soon.id, new Date(Date.now() - 2 * 86_400_000)]]))
  const { findings } = await shell.json<Findings>('doctor')
  t.match(findings.filter(({ check }) => check === 'secrets'), [{ outcome: 'warning', found: new RegExp(`^secret ${first} of ingestion-bot expires`), advice: /secret create ingestion-bot/ }], 'the one that is in use')
})

await t.test('doctor asks workload issuers for their keys', async t => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [(await makeSigner()).jwk] }))
  writeFileSync(join(folder, '.env'), 'MINTMARK_TRUSTED_ISSUERS=["https://one.example=jwks.json", "https://two.example=missing.json", "http://127.0.0.1:9"]\n')
  const { code, stdout } = await openShell(t, folder).run('doctor', '--json')
  t.equal(code, 1)
  t.match((JSON.parse(stdout) as Findings).findings.filter(({ check }) => check === 'workload issuer'), [
    { outcome: 'ok', found: 'https://one.example: 1 public key, in jwks.json' },
    { outcome: 'failed', found: /missing\.json/, advice: /MINTMARK_TRUSTED_ISSUERS/ },
    { outcome: 'failed', found: /fetch failed/, advice: /curl.*issuer=FILE/ }
  ])
})
