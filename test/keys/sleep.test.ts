/** A service that was off past one or many rotations starts with some key signing, and catches up without a token lost. */
import t from 'tap'
import { stateAt } from '../../src/keys/signing-key.ts'
import { askAs } from '../fakes/asking.ts'
import { movableClock } from '../fakes/clock.ts'
import { startService, temporaryFolder } from '../fakes/service.ts'

const DAY = 86_400

for (const days of [31, 61, 400]) {
  await t.test(`off for ${days} days`, async t => {
    const time = movableClock()
    const folder = temporaryFolder(t)
    const settings = { MINTMARK_DATABASE_URL: `sqlite:${folder}/mintmark.db`, MINTMARK_MASTER_KEY_FILE: `${folder}/master.key`, MINTMARK_MAX_TOKEN_TTL: '90d' }
    const before = await startService(t, settings, time)
    const client = await before.bot('ingestion-bot', { tokenTtlSeconds: 90 * DAY })
    const token = await before.token(client)
    await before.app.close()

    time.advance(days * DAY)
    const after = await startService(t, settings, time)
    const states = after.parts.ring.all().map(key => stateAt(key, time.clock()))
    t.equal(states.filter(state => state === 'signing').length, 1)
    t.ok(states.includes('pending'))
    const fresh = await after.token(client)
    t.equal((await askAs(after.app, fresh)('POST', '/verify')).statusCode, 200)
    t.equal((await askAs(after.app, token)('POST', '/verify')).statusCode, days < 90 ? 200 : 401, 'a token that lives still verifies')
  })
}
