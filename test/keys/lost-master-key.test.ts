/** A master key that is lost: what cannot be opened is replaced, what was signed stays good. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { MasterKeyError } from '../../src/keys/local-vault.ts'
import { openParts, reasonsNotReady, type Parts } from '../../src/parts.ts'
import { stateAt } from '../../src/keys/signing-key.ts'
import { SYSTEM } from '../../src/telemetry/audit.ts'
import { judgeByJose } from '../../src/verify/jose-judge.ts'
import { draftBot } from '../../src/bots/bot-draft.ts'
import { silentLog, temporaryFolder } from '../fakes/service.ts'

await t.test('replace-lost', async t => {
  const folder = temporaryFolder(t)
  const [old, fresh] = [randomBytes(32).toString('base64url'), randomBytes(32).toString('base64url')]
  const configOf = (key: string) => readConfig({ MINTMARK_DATABASE_URL: `sqlite:${folder}/mintmark.db`, MINTMARK_MASTER_KEY: key })
  const open = async (key: string) => await openParts(configOf(key), silentLog)
  const statesOf = ({ ring, clock }: Parts) => ring.all().map(key => stateAt(key, clock()))

  const before = await open(old)
  const bot = draftBot('a-bot', {}, before.config.audience, before.clock())
  await before.bots.create(bot, null, { ...SYSTEM, action: 'bot.created', target: 'a-bot' })
  const { token } = await before.mint({ bot, scopes: [], audiences: bot.audiences })
  const [signed, waited] = before.ring.all()
  t.strictSame(await before.replaceLost('a drill', SYSTEM, false), [], 'nothing is replaced while the master key is there')
  await before.close()

  await t.rejects(open(fresh), { name: MasterKeyError.name, message: /key replace-lost/ })

  const without = await openParts(configOf(fresh), silentLog, { keys: 'may be lost' })
  t.strictSame(statesOf(without), ['signing', 'pending'], 'to open it changes nothing')
  const lost = [signed?.kid, waited?.kid]
  t.strictSame(await without.replaceLost('the disk is gone', SYSTEM, true), lost)
  t.strictSame(statesOf(without), ['signing', 'pending'], 'nor does a dry run')
  t.strictSame(await without.replaceLost('the disk is gone', SYSTEM, false), lost)
  t.match((await without.audit.list({ limit: 200 })).find(event => event.action === 'key.abandoned'), { detail: { kids: lost, reason: 'the disk is gone' } })
  await without.close()

  const after = await open(fresh)
  t.strictSame(statesOf(after), ['retired', 'revoked', 'signing', 'pending'])
  t.strictSame(reasonsNotReady(after), [])
  const [retired] = after.ring.all()
  t.strictSame(retired?.verifiesUntil, signed?.verifiesUntil, 'the last token of the old key is over when it was')
  t.match(await after.verifier.explain(token, judgeByJose), { active: true }, 'what the old key signed is good')
  const { token: next } = await after.mint({ bot, scopes: [], audiences: bot.audiences })
  t.match(await after.verifier.explain(next, judgeByJose), { active: true }, 'and the new one signs')
  await after.close()
})
