/** The token file: whole at any moment, for whom it is meant, and written to nowhere else. */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeTokenFile } from '../../src/agent/token-file.ts'
import { temporaryFolder } from '../fakes/service.ts'

await t.test('the token, and nothing beside it', async t => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'token')
  await writeTokenFile(file, 'first', 0o600)
  t.equal(statSync(file).mode & 0o777, 0o600)
  await writeTokenFile(file, 'second', 0o640)
  t.equal(readFileSync(file, 'utf8'), 'second')
  t.equal(statSync(file).mode & 0o777, 0o640)
  t.strictSame(readdirSync(folder), ['token'])
})

await t.test('the mode is exact, whatever the umask', async t => {
  const file = join(temporaryFolder(t), 'token')
  const before = process.umask(0o077)
  t.teardown(() => { process.umask(before) })
  await writeTokenFile(file, 'token', 0o644)
  t.equal(statSync(file).mode & 0o777, 0o644)
})

await t.test('a reader sees whole tokens only', async t => {
  const file = join(temporaryFolder(t), 'token')
  const tokens = ['a', 'b'].map(letter => letter.repeat(100_000))
  await writeTokenFile(file, 'a'.repeat(100_000), 0o600)
  const seen = new Set<string>()
  const reading = setInterval(() => { seen.add(readFileSync(file, 'utf8')) })
  for (let round = 0; round < 30; round++) {
    await writeTokenFile(file, tokens[round % 2] ?? '', 0o600)
    seen.add(readFileSync(file, 'utf8'))
  }
  clearInterval(reading)
  t.equal(seen.size, 2)
  t.strictSame([...seen].filter(text => !tokens.includes(text)).map(text => text.length), [])
})

await t.test('a link in its place is replaced, not followed', async t => {
  const folder = temporaryFolder(t)
  const [elsewhere, file] = [join(folder, 'elsewhere'), join(folder, 'token')]
  writeFileSync(elsewhere, 'precious')
  symlinkSync(elsewhere, file)
  await writeTokenFile(file, 'token', 0o600)
  t.equal(readFileSync(elsewhere, 'utf8'), 'precious')
  t.ok(lstatSync(file).isFile())
})

await t.test('what fails leaves nothing behind', async t => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'token')
  mkdirSync(join(file, 'below'), { recursive: true })
  await t.rejects(writeTokenFile(file, 'token', 0o600))
  t.strictSame(readdirSync(folder), ['token'])
  await t.rejects(writeTokenFile(join(folder, 'nowhere', 'token'), 'token', 0o600), { code: 'ENOENT' })
  t.notOk(existsSync(join(folder, 'nowhere')))
})
