import { Writable } from 'node:stream'
import t from 'tap'
import { createExpiringSecrets, NEAR_SECONDS } from '../../src/bots/expiring-secrets.ts'
import { newSecret } from '../../src/bots/secret.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { movableClock } from '../fakes/clock.ts'
import { postForm } from '../fakes/asking.ts'
import { startService, TEST_EVENT } from '../fakes/service.ts'

await t.test('said once an hour for each secret, and counted each time', t => {
  const { clock, advance } = movableClock()
  let uses = 0
  const { used } = createExpiringSecrets(clock, () => { uses++ })
  const make = (expiresInSeconds?: number) => newSecret('a-bot', { now: clock(), ...(expiresInSeconds !== undefined && { expiresInSeconds }) }).stored
  const [endless, late, soon, sooner] = [make(), make(NEAR_SECONDS + 60), make(NEAR_SECONDS), make(60)]

  t.same([endless, late, soon, sooner].map(used), [false, false, true, true])
  t.same([soon, sooner].map(used), [false, false], 'not again at once')
  t.equal(uses, 4)
  advance(3_599)
  t.same([late, soon].map(used), [true, false], 'one that has come near meanwhile')
  advance(1)
  t.same([endless, late, soon].map(used), [false, false, true], 'once more after an hour')
  t.end()
})

await t.test('whoever still authenticates by it is counted, and named in the log', async t => {
  const lines: string[] = []
  const service = await startService(t, {}, movableClock(), createLog('warn', new Writable({ write (line, _, done) { lines.push(String(line)); done() } }) as unknown as NodeJS.WriteStream))
  const client = await service.bot('ingestion-bot')
  const fetchToken = async (clientSecret: string): Promise<number> => (await postForm(service.app, '/oauth/token', { grant_type: 'client_credentials' }, { ...client, clientSecret })).statusCode
  const counted = async (): Promise<string | undefined> => /^mintmark_expiring_secret_uses_total (\d+)$/m.exec((await service.app.inject('/metrics')).body)?.[1]

  t.equal(await fetchToken(client.clientSecret), 200)
  t.equal(await counted(), '0')
  const next = newSecret('ingestion-bot', { now: service.clock() })
  await service.parts.secrets.add(next.stored, () => {}, TEST_EVENT, new Date(service.clock().getTime() + 3 * 86_400_000))
  await service.parts.changes.catchUp()
  for (const secret of [next.secret, client.clientSecret, client.clientSecret]) t.equal(await fetchToken(secret), 200)
  t.equal(await counted(), '2', 'the one whose end was set sooner')
  const [secret] = (await service.parts.secrets.list('ingestion-bot')).filter(({ id }) => id !== next.stored.id)
  t.match(lines.map(line => JSON.parse(line) as unknown), [{ bot: 'ingestion-bot', secretId: secret?.id, msg: /expires soon is still in use/ }], 'the log says which one, and once')
  service.advance(3 * 86_400)
  t.equal(await fetchToken(client.clientSecret), 401)
  t.equal(await fetchToken(next.secret), 200)
  t.equal(await counted(), '2', 'what is refused does not count')
})
