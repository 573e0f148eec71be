/** `mintmark apply` and `mintmark export`: bots as a file in git, as processes. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { apply } from '../../src/cli/apply.ts'
import { openShell } from '../fakes/pool-processes.ts'
import { startService, temporaryFolder } from '../fakes/service.ts'

t.setTimeout(180_000)

const folder = temporaryFolder(t)
const shell = openShell(t, folder, { MINTMARK_TRUSTED_ISSUERS: 'https://token.actions.githubusercontent.com' })
const write = (text: string, name = 'bots.yaml'): void => { writeFileSync(join(folder, name), text) }

const FILE = `
bots:
  - name: ingestion-bot
    displayName: Ingestion
    email: ingest@example.com
    roles: [IngestionBotRole]
    scopes: [metadata:read, metadata:write]
    audiences: [metadata-api, search-api]
    tokenTtl: 30m
    cognitoClientIds: [machine]
    pipelines: [nightly]
    jwks:
      keys:
        - {kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo, kid: one}
    trust:
      - issuer: https://token.actions.githubusercontent.com
        audience: https://tokens.example.com
        subject: repo:acme/pipelines:*
        claims: {repository_id: "17"}
  - name: other-bot
`

await t.test('makes, changes and deletes, in the words of a difference', async t => {
  write(FILE)
  const dry = await shell.run('apply', '-f', 'bots.yaml', '--dry-run')
  t.match(dry, { code: 0, stdout: /^\+ ingestion-bot\n {4}displayName: Ingestion\n[^]*^\+ other-bot {3}\(it has no secret yet[^]*would be created: 2, would be changed: 0, would be deleted: 0, unchanged: 0/m })
  t.match(await shell.json('bot', 'list'), { bots: [] }, 'a dry run changes nothing')

  t.match(await shell.json('apply', '-f', 'bots.yaml'), { created: [{ name: 'ingestion-bot', tokenTtl: '30m' }, { name: 'other-bot' }], updated: [], deleted: [] })
  t.match(await shell.json('bot', 'show', 'ingestion-bot'), { displayName: 'Ingestion', email: 'ingest@example.com', tokenTtl: '30m', cognitoClientIds: ['machine'], pipelines: ['nightly'] })
  t.strictSame(await shell.json('apply', '-f', 'bots.yaml'), { created: [], updated: [], deleted: [], unchanged: ['ingestion-bot', 'other-bot'], notInFile: [] }, 'twice is once')

  await shell.run('secret', 'create', 'other-bot')
  await shell.run('bot', 'create', 'by-hand')
  write(FILE.replace('30m', '45m').replace('[machine]', '[]').replace('- name: other-bot', '- name: other-bot\n    cognitoClientIds: [machine]'))
  const changed = await shell.run('apply', '-f', 'bots.yaml')
  t.match(changed.stdout, /^~ ingestion-bot\n {4}tokenTtl: "30m" → "45m"\n {4}cognitoClientIds: \["machine"\] → \[\]\n~ other-bot\n/m)
  t.match(changed.stdout, /not in the file, and left as they are \(--prune deletes them\): by-hand/)
  t.equal((await shell.json<{ secrets: unknown[] }>('secret', 'list', 'other-bot')).secrets.length, 1, 'secrets are not touched')

  const pruned = await shell.run('apply', '-f', 'bots.yaml', '--prune')
  t.match(pruned, { code: 0, stdout: /^- by-hand {3}\(its secrets and tokens end with it\)$/m })
  t.match(await shell.run('bot', 'show', 'by-hand'), { code: 1 })
})

await t.test('what is exported changes nothing when it is applied, and has no secret', async t => {
  const exported = await shell.run('export')
  t.strictSame((parse(exported.stdout) as { bots: unknown[] }).bots[0], (parse(FILE.replace('30m', '45m').replace(/ {4}cognitoClientIds.*\n/, '')) as { bots: unknown[] }).bots[0], 'the same document')
  t.notMatch(exported.stdout, /mmk_|digest|createdAt/)
  write(exported.stdout, 'exported.yaml')
  t.match(await shell.json('apply', '-f', 'exported.yaml', '--prune'), { created: [], updated: [], deleted: [], notInFile: [] })
  const json = await shell.run('export', '--json')
  t.strictSame(JSON.parse(json.stdout), parse(exported.stdout))
  t.match(await shell.runWith({ stdin: json.stdout }, 'apply', '-f', '-', '--json'), { code: 0, stdout: /"updated": \[\]/ }, 'JSON, from stdin')
})

await t.test('a bot that was switched off stays off, until the file says otherwise', async t => {
  await shell.run('bot', 'disable', 'other-bot')
  await shell.run('apply', '-f', 'bots.yaml')
  t.match(await shell.json('bot', 'show', 'other-bot'), { enabled: false })
  t.match(await shell.run('export'), { stdout: /name: other-bot[^]*enabled: false/ })
  write('bots: [{name: other-bot, enabled: true}]', 'on.yaml')
  await shell.run('apply', '-f', 'on.yaml')
  t.match(await shell.json('bot', 'show', 'other-bot'), { enabled: true, cognitoClientIds: [] }, 'and what it leaves out is as in a new bot')
})

await t.test('faults are told by line, all at once, and nothing is done', async t => {
  write(`bots:
  - name: good-bot
  - name: Bad Name
    roles: reader
  - name: good-bot
    tokenTtl: 30d
    rolls: [a]
    trust:
      - issuer: https://elsewhere.example.com
        audience: a
        subject: "*"
    jwks: {keys: [{kty: oct, k: AAAA}]}
`, 'faulty.yaml')
  const shape = await shell.run('apply', '-f', 'faulty.yaml')
  t.equal(shape.code, 1)
  t.match(shape.stderr, /^faulty\.yaml:3: bots\.1\.name /m)
  t.match(shape.stderr, /^faulty\.yaml:4: bots\.1\.roles must be array/m)
  t.match(shape.stderr, /^faulty\.yaml:7: bots\.2\.rolls is not a field that is known here/m)

  write(`bots:
  - name: good-bot
  - name: good-bot
    tokenTtl: 30d
    trust:
      - issuer: https://elsewhere.example.com
        audience: a
        subject: "*"
    jwks: {keys: [{kty: oct, k: AAAA}]}
`, 'faulty.yaml')
  const sense = await shell.run('apply', '-f', 'faulty.yaml')
  t.equal(sense.code, 1)
  for (const line of [/:3: bots\.1\.name is there twice/, /:4: bots\.1\.tokenTtl takes at most 1d/, /:6: bots\.1\.trust\.0\.issuer is not one of MINTMARK_TRUSTED_ISSUERS/, /:8: bots\.1\.trust\.0\.subject takes a prefix/, /:9: bots\.1\.jwks\.keys\.0 holds a private key/]) t.match(sense.stderr, line)
  t.notMatch(sense.stderr, /AAAA/)

  write('bots:\n  - name: a\n    name: b\n  - [', 'faulty.yaml')
  t.match(await shell.run('apply', '-f', 'faulty.yaml'), { code: 1, stderr: /^faulty\.yaml:3: / })
  write('bots: [{name: a, cognitoClientIds: [x]}, {name: b, cognitoClientIds: [x]}]', 'faulty.yaml')
  t.match(await shell.run('apply', '-f', 'faulty.yaml'), { code: 1, stderr: /x would stand for a and b/ })
  t.match(await shell.run('apply', '-f', 'nowhere.yaml'), { code: 1, stderr: /nowhere.yaml cannot be read: ENOENT/ })
  t.match(await shell.run('apply'), { code: 2 })
  t.match(await shell.run('bot', 'show', 'good-bot'), { code: 1 })

  const untouched = openShell(t, temporaryFolder(t))
  await untouched.run('apply', '-f', 'nowhere.yaml')
  t.notOk(existsSync(join(untouched.folder, 'data')), 'the file is read before the database is opened')
})

await t.test('the last admin is not taken away', async t => {
  await shell.run('bot', 'create', 'admin-bot', '--admin')
  for (const [file, ...options] of [['bots: []', '--prune'], ['bots: [{name: admin-bot}]'], ['bots: [{name: admin-bot, scopes: [admin], audiences: ["http://localhost:8590"], enabled: false}]']] as const) {
    write(file, 'less.yaml')
    t.match(await shell.run('apply', '-f', 'less.yaml', ...options), { code: 1, stderr: /nobody would be admin any more/ }, file)
  }
  t.match(await shell.json('bot', 'show', 'admin-bot'), { scopes: ['admin'], enabled: true })
})

await t.test('what was not compared is not done', async t => {
  const { bot, parts } = await startService(t)
  await bot('seen')
  const seen = await parts.bots.list({ limit: 10 })
  await bot('made-meanwhile')
  const late = { ...parts, bots: { ...parts.bots, list: async () => seen } }
  await t.rejects(apply({ content: { bots: [] }, placeOf: field => field }, { file: '-', prune: true, json: true }, late), { message: /somebody has changed bots/ })
  t.equal((await parts.bots.list({ limit: 10 })).length, 2)
})
