/**
 * `kill -9` of the database in the middle of rotations, mints and revocations on three real replicas: of all its processes, as
 * when the machine runs out of memory, and of a single one, after which PostgreSQL restarts itself.
 */
import t from 'tap'
import type { Server } from './fakes/pool-processes.ts'
import { startPostgres } from './fakes/postgres.ts'
import { ask, fetchToken, revokeToken, soon, startReplicas, verdict } from './fakes/replicas.ts'

/** Twenty and more are for the patient: MINTMARK_TEST_KILLS=20. */
const KILLS = Number(process.env.MINTMARK_TEST_KILLS ?? 4)

t.setTimeout(120_000 + KILLS * 60_000)
const postgres = await startPostgres(t)

await t.test(`${KILLS} times: no replica ends, minting and verifying go on, and nothing that was acknowledged is lost`, async t => {
  const { shell, servers, admin, secret } = await startReplicas(t, await postgres.database())
  const [one, two, three] = servers
  const { clientSecret: steadySecret } = await shell.json<{ clientSecret: string }>('bot', 'create', 'steady-bot', '--secret')
  await soon(async () => await fetchToken(three, 'steady-bot', steadySecret) !== null)

  const kids = new Set<string>()
  const minted = new Set<string>()
  const revoked = new Set<string>()
  const verdicts = new Set<unknown>()
  let refused = 0

  const rotate = async (server: Server): Promise<void> => {
    const { status, json } = await ask(server, admin, 'POST', '/admin/keys/rotate', { force: true })
    if (status === 200) for (const kid of [json.signing, json.next]) kids.add(String(kid))
    else t.match({ status, json }, { status: 503, json: { code: 'unavailable' } })
  }
  const revoke = async (server: Server): Promise<void> => {
    const token = await fetchToken(server, 'worker-bot', secret)
    if (token !== null && await revokeToken(server, token, secret) === 200) revoked.add(token)
  }
  /** On a replica that changes no bot itself: what it knows of one serves on. */
  const mint = async (): Promise<void> => {
    const token = await fetchToken(three, 'steady-bot', steadySecret)
    if (token === null) refused++
    else {
      minted.add(token)
      verdicts.add(await verdict(three, token))
    }
  }

  for (let round = 0; round < KILLS; round++) {
    const work = { goesOn: true }
    const keepOn = async (act: () => Promise<void>): Promise<void> => { while (work.goesOn) await act() }
    const works = [...servers.map(async server => { await keepOn(async () => { await rotate(server) }) }), ...[one, two].map(async server => { await keepOn(async () => { await revoke(server) }) }), keepOn(mint)]
    const [mintedBefore, revokedBefore] = [minted.size, revoked.size]
    await soon(async () => minted.size > mintedBefore + 5 && revoked.size > revokedBefore)

    if (round % 2 === 0) {
      await postgres.kill()
      const mintedUntilThen = minted.size
      await soon(async () => minted.size > mintedUntilThen + 5)
      await postgres.startAgain()
    } else {
      postgres.killOne()
    }
    const took = await Promise.all(servers.map(async server => await soon(async () => (await ask(server, admin, 'POST', '/admin/keys/rotate', { force: true })).status === 200)))
    t.comment(`healed after ${Math.max(...took)} ms`)
    work.goesOn = false
    await Promise.all(works)
    t.same(servers.map(server => server.process.exitCode ?? server.process.signalCode), [null, null, null], 'no replica has ended')
  }

  t.equal(refused, 0, 'minting went on')
  t.same([...verdicts], ['good'], 'and verifying')
  const { keys } = (await ask(one, admin, 'GET', '/admin/keys?all=true')).json as unknown as { keys: Array<{ kid: string, state: string }> }
  t.equal(keys.filter(key => key.state === 'signing').length, 1, 'exactly one key signs')
  t.ok(keys.some(key => key.state === 'pending'))
  t.same([...kids].filter(kid => !keys.some(key => key.kid === kid)), [], `no rotation of ${kids.size - 1} is lost`)
  for (const server of servers) {
    t.same(new Set(await Promise.all([...revoked].map(async token => await verdict(server, token)))), new Set(['token_revoked']), `no revocation of ${revoked.size} is lost`)
    t.same(new Set(await Promise.all([...minted].map(async token => await verdict(server, token)))), new Set(['good']), `all ${minted.size} other tokens verify`)
  }
})
