import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { MasterKeyError } from '../../src/keys/local-vault.ts'
import { masterKeysFromFile } from '../../src/keys/master-key.ts'
import { openParts } from '../../src/parts.ts'
import { SETTINGS } from '../../src/settings.ts'
import { silentLog, temporaryFolder } from '../fakes/service.ts'

const { parse } = SETTINGS.MINTMARK_MASTER_KEY
const newKey = (): string => randomBytes(32).toString('base64url')

await t.test('the file', async t => {
  await t.test('is made with its folders, for nobody else to read', async t => {
    const file = join(temporaryFolder(t), 'deep', 'down', 'master.key')
    const [key, ...others] = masterKeysFromFile(file, false, parse)
    t.equal(key?.length, 32)
    t.same(others, [])
    t.equal(statSync(file).mode & 0o777, 0o600)
    t.equal(statSync(join(file, '..')).mode & 0o077, 0)
    t.match(readFileSync(file, 'utf8'), /^[A-Za-z0-9_-]{43}\n$/)
    t.not(masterKeysFromFile(join(temporaryFolder(t), 'master.key'), false, parse)[0]?.toString('hex'), key?.toString('hex'))
  })

  await t.test('is read the second time, and beside a database', async t => {
    const file = join(temporaryFolder(t), 'master.key')
    const made = masterKeysFromFile(file, false, parse)
    t.same(masterKeysFromFile(file, false, parse), made)
    t.same(masterKeysFromFile(file, true, parse), made)
  })

  await t.test('may hold a list', async t => {
    const file = join(temporaryFolder(t), 'master.key')
    const keys = [newKey(), newKey()]
    writeFileSync(file, `${keys.join(',')}\n`)
    t.same(masterKeysFromFile(file, true, parse).map(key => key.toString('base64url')), keys)
  })

  await t.test('that is missing beside a database is not made', async t => {
    const file = join(temporaryFolder(t), 'keys', 'master.key')
    t.throws(() => masterKeysFromFile(file, true, parse), { name: 'MasterKeyError', message: new RegExp(`database.*${file}`) })
    t.notOk(existsSync(join(file, '..')))
  })

  await t.test('that is malformed is refused, and stays as it is', async t => {
    const file = join(temporaryFolder(t), 'master.key')
    for (const text of ['', 'secret', randomBytes(31).toString('base64url'), randomBytes(33).toString('base64url'), `${newKey()}!`, randomBytes(32).toString('hex'), `${newKey()},short`]) {
      writeFileSync(file, text)
      for (const databaseExists of [true, false]) {
        let refusal: unknown
        try { masterKeysFromFile(file, databaseExists, parse) } catch (error) { refusal = error }
        t.match(refusal, { name: 'MasterKeyError', message: /32 random bytes/ })
        t.notOk(text !== '' && String(refusal).includes(text), 'and never repeated')
      }
      t.equal(readFileSync(file, 'utf8'), text)
    }
  })

  await t.test('that cannot be read or made is refused with its path', async t => {
    const folder = temporaryFolder(t)
    t.throws(() => masterKeysFromFile(folder, true, parse), { name: 'MasterKeyError', message: new RegExp(folder) })
    writeFileSync(join(folder, 'file'), '')
    t.throws(() => masterKeysFromFile(join(folder, 'file', 'master.key'), false, parse), { name: 'MasterKeyError', message: /file/ })
  })
})

await t.test('an installation', async t => {
  /** Every file and what is in it, by digest. */
  function contentsOf (folder: string): Record<string, string> {
    return Object.fromEntries(readdirSync(folder).map(name => [name, createHash('sha256').update(readFileSync(join(folder, name))).digest('hex')]))
  }

  /** Starts on an empty folder, and ends again. */
  async function installed (t: Test): Promise<{ folder: string, open: (settings?: Record<string, string>) => Promise<string | undefined> }> {
    const folder = temporaryFolder(t)
    const open = async (settings: Record<string, string> = { MINTMARK_MASTER_KEY_FILE: join(folder, 'master.key') }): Promise<string | undefined> => {
      const parts = await openParts(readConfig({ MINTMARK_DATABASE_URL: `sqlite:${folder}/mintmark.db`, ...settings }), silentLog)
      await parts.close()
      return parts.ring.signing()?.kid
    }
    await open()
    return { folder, open }
  }

  await t.test('starts again with the same key, and changes nothing', async t => {
    const { folder, open } = await installed(t)
    const kid = await open()
    const before = contentsOf(folder)
    t.same(Object.keys(before), ['master.key', 'mintmark.db'])
    t.equal(await open(), kid)
    t.same(contentsOf(folder), before)
  })

  await t.test('with another master key is refused with a sentence, and unchanged to the byte', async t => {
    const { folder, open } = await installed(t)
    const before = contentsOf(folder)
    await t.rejects(open({ MINTMARK_MASTER_KEY: newKey() }), { name: 'MasterKeyError', message: /master key/ })
    t.same(contentsOf(folder), before)
    const right = readFileSync(join(folder, 'master.key'), 'utf8').trim()
    t.ok(await open({ MINTMARK_MASTER_KEY: `${newKey()},${right}` }), 'in a list, the right one may come second')
  })

  await t.test('whose master key is lost is refused, and gets no new one', async t => {
    const { folder, open } = await installed(t)
    const before = contentsOf(folder)
    const elsewhere = join(temporaryFolder(t), 'keys', 'master.key')
    await t.rejects(open({ MINTMARK_MASTER_KEY_FILE: elsewhere }), MasterKeyError)
    t.notOk(existsSync(elsewhere))
    t.same(contentsOf(folder), before)
  })

  await t.test('whose master key is spoilt is refused, and it stays as it is', async t => {
    const { folder, open } = await installed(t)
    writeFileSync(join(folder, 'master.key'), 'spoilt')
    const before = contentsOf(folder)
    await t.rejects(open(), { name: 'MasterKeyError', message: /nothing was changed/ })
    t.same(contentsOf(folder), before)
  })
})
