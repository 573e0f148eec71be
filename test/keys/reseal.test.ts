import { randomBytes } from 'node:crypto'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { MasterKeyError } from '../../src/keys/local-vault.ts'
import { openParts } from '../../src/parts.ts'
import { SYSTEM } from '../../src/telemetry/audit.ts'
import { silentLog, temporaryFolder } from '../fakes/service.ts'

await t.test('reseal: the new master key opens all, the old one may go', async t => {
  const folder = temporaryFolder(t)
  const [old, fresh] = [randomBytes(32).toString('base64url'), randomBytes(32).toString('base64url')]
  const open = async (keys: string) => await openParts(readConfig({ MINTMARK_DATABASE_URL: `sqlite:${folder}/mintmark.db`, MINTMARK_MASTER_KEY: keys }), silentLog)

  const first = await open(old)
  const before = first.ring.all().map(key => key.sealedPrivateKey)
  await first.close()
  await t.rejects(open(fresh), MasterKeyError)

  const both = await open(`${fresh},${old}`)
  t.equal(await both.reseal(SYSTEM, true), 2, 'a dry run counts')
  t.same(both.ring.all().map(key => key.sealedPrivateKey), before)
  t.equal(await both.reseal(SYSTEM, false), 2)
  t.match(await both.audit.list({ limit: 1 }), [{ action: 'key.resealed', detail: { keys: 2 } }])
  await both.close()

  const second = await open(fresh)
  t.ok(second.ring.all().every(key => key.sealedPrivateKey !== null && !before.includes(key.sealedPrivateKey)))
  await second.close()
  await t.rejects(open(old), MasterKeyError)
})
