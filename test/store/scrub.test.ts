import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { openParts } from '../../src/parts.ts'
import { SYSTEM } from '../../src/telemetry/audit.ts'
import { silentLog, temporaryFolder } from '../fakes/service.ts'

await t.test('a private half that was erased, or sealed anew, leaves no bytes behind', async t => {
  const folder = temporaryFolder(t)
  const parts = await openParts(readConfig({ MINTMARK_DATABASE_URL: `sqlite:${folder}/mintmark.db`, MINTMARK_MASTER_KEY: randomBytes(32).toString('base64url') }), silentLog)
  t.teardown(parts.close)
  const isInFiles = (text: string | null): boolean => readdirSync(folder).some(name => readFileSync(join(folder, name)).includes(text ?? ''))

  const sealed = parts.ring.all().map(key => key.sealedPrivateKey)
  t.ok(sealed.every(isInFiles))
  await parts.reseal(SYSTEM, false)
  t.notOk(sealed.some(isInFiles), 'sealed anew')

  await parts.changes.catchUp()
  const signing = parts.ring.signing()
  t.ok(isInFiles(signing?.sealedPrivateKey ?? null))
  await parts.rotator.revoke(signing?.kid ?? '', 'drill', SYSTEM)
  t.notOk(isInFiles(signing?.sealedPrivateKey ?? null), 'erased')
})
