/** With rotation every six seconds, a verifier that fetches the JWKS anew only when its max-age is over never meets an unknown kid. */
import { decodeProtectedHeader } from 'jose'
import t from 'tap'
import { startService } from '../fakes/service.ts'

const STEP_SECONDS = 0.1
const MINUTE_SECONDS = 60

await t.test('a minute of rotation every six seconds', async t => {
  const service = await startService(t, {
    MINTMARK_ROTATE_EVERY: '6s', MINTMARK_PUBLISH_AHEAD: '3s', MINTMARK_JWKS_MAX_AGE: '1s', MINTMARK_CLOCK_TOLERANCE: '0s', MINTMARK_TOKEN_TTL: '5s', MINTMARK_MAX_TOKEN_TTL: '5s'
  })
  const client = await service.bot('ingestion-bot')
  const seconds = (): number => service.clock().getTime() / 1000
  let held = { kids: new Set<string>(), fetchedAt: -Infinity }
  const kidsSeen = new Set<string>()
  const alive: Array<{ token: string, kid: string, exp: number }> = []
  let misses = 0
  let refused = 0

  for (let step = 0; step < MINUTE_SECONDS / STEP_SECONDS; step++) {
    service.advance(STEP_SECONDS)
    await service.parts.rotator.settle()
    if (seconds() - held.fetchedAt > 1) {
      const { keys } = (await service.app.inject('/.well-known/jwks.json')).json<{ keys: Array<{ kid: string }> }>()
      held = { kids: new Set(keys.map(key => key.kid)), fetchedAt: seconds() }
    }
    if (step % 5 === 0) {
      const token = await service.token(client)
      const kid = decodeProtectedHeader(token).kid ?? ''
      kidsSeen.add(kid)
      alive.push({ token, kid, exp: Math.floor(seconds()) + 5 })
      if (!held.kids.has(kid)) misses++
    }
    while ((alive[0]?.exp ?? Infinity) <= seconds()) alive.shift()
    const oldest = alive[0]
    if (oldest && (await service.app.inject({ url: '/auth', headers: { authorization: `Bearer ${oldest.token}` } })).statusCode !== 200) refused++
  }
  t.ok(kidsSeen.size >= 10, `${kidsSeen.size} keys signed`)
  t.equal(misses, 0, 'no token bore a kid that the verifier did not hold')
  t.equal(refused, 0, 'no key went before the last token that it signed')
})
