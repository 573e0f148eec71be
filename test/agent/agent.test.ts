/** The agent against the real service, on one clock with it: minutes pass at once, and at each second somebody reads the file. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createAgent, givesUpAt, renewalOf } from '../../src/agent/agent.ts'
import { readCredentialFile } from '../../src/agent/credentials.ts'
import { OWNER_ONLY, writeTokenFile } from '../../src/agent/token-file.ts'
import { newSecret } from '../../src/bots/secret.ts'
import { clientSecretBasic } from '../../src/client/credential.ts'
import { startTokenSource, type World } from '../../src/client/token-source.ts'
import { judgeByJose } from '../../src/verify/jose-judge.ts'
import { openToken } from '../fakes/pool-forge.ts'
import { startService, TEST_EVENT, temporaryFolder, type Service } from '../fakes/service.ts'
import { freePort } from '../fakes/shell.ts'

const STOPPED = 'SIGTERM'

/** What happens at which second. */
type Story = Record<number, () => Promise<void> | void>

interface Town {
  service: Service
  bot: { clientId: string, clientSecret: string }
  file: string
  secretFile: string
  /** While true, nobody is where the service was. */
  away: boolean
  /** Log lines so far. */
  log: string[]
  second: () => number
  /** Runs an agent until it ends. @returns why */
  runAgent: () => Promise<unknown>
  stopAgent: () => void
  /** From the second on which the agent has ended. */
  story: Story
  /** Seconds at which the file held no token that verifies, and why. */
  bad: string[]
}

async function startTown (t: Test, tokenTtlSeconds: number): Promise<Town> {
  const service = await startService(t)
  const url = await service.app.listen({ port: 0, host: '127.0.0.1' })
  const bot = await service.bot('ingestion-bot', { tokenTtlSeconds })
  const folder = temporaryFolder(t)
  const nobody = await freePort()
  const startedAt = service.clock().getTime()
  let stopping = new AbortController()

  const town: Town = {
    service,
    bot,
    file: join(folder, 'token'),
    secretFile: join(folder, 'secret'),
    away: false,
    log: [],
    story: {},
    bad: [],
    second: () => Math.floor((service.clock().getTime() - startedAt) / 1000),
    stopAgent () { stopping.abort(STOPPED) },

    async runAgent () {
      stopping = new AbortController()
      const { signal } = stopping
      const source = startTokenSource({
        url,
        credential: clientSecretBasic(bot.clientId, async () => await readCredentialFile(town.secretFile, 'the secret')),
        patienceSeconds: Infinity,
        signal,
        async fetch (input, init) {
          const address = new URL(input instanceof Request ? input.url : input)
          if (town.away) address.port = String(nobody)
          return await fetch(address, init)
        },
        onFailure: error => { town.log.push(String(error)) }
      }, world)
      const save = async ({ token }: { token: string }): Promise<void> => { await writeTokenFile(town.file, token, OWNER_ONLY) }
      const agent = createAgent({ source, save, place: town.file, renews: true, log: pino({ level: 'info' }, { write: line => { town.log.push(line) } }), signal, world })
      try {
        await agent.refresh()
        return await agent.keepFresh()
      } catch (error) {
        return error
      }
    }
  }

  async function readAsPipeline (): Promise<void> {
    const token = readFileSync(town.file, 'utf8')
    const { active, code } = await service.parts.verifier.explain(token, judgeByJose)
    if (!active) town.bad.push(`second ${town.second()}: ${code ?? ''}`)
  }

  const world: World = {
    clock: service.clock,
    random: () => 0.5,
    async sleep (milliseconds, signal) {
      for (let leftMs = milliseconds; leftMs > 0; leftMs -= 1000) {
        signal?.throwIfAborted()
        const before = town.second()
        service.advance(Math.min(leftMs, 1000) / 1000)
        if (town.second() > before) await town.story[town.second()]?.()
        await readAsPipeline()
      }
      signal?.throwIfAborted()
    }
  }
  writeFileSync(town.secretFile, bot.clientSecret)
  return town
}

await t.test('ten minutes: outages, a rotated key, a restart, a rotated secret, a revoked one', async t => {
  const town = await startTown(t, 120)
  const { service, bot } = town
  const secretsOf = async (): Promise<readonly { id: string }[]> => await service.parts.secrets.list(bot.clientId)
  const removeSecret = async (id = ''): Promise<void> => {
    await service.parts.secrets.remove(bot.clientId, id, () => {}, TEST_EVENT)
    await service.parts.afterChange(bot.clientId)
  }
  const [old] = await secretsOf()
  const next = newSecret(bot.clientId, { now: service.clock() })
  const kids = new Set<unknown>()
  const noteKid = (): void => { kids.add(openToken(readFileSync(town.file, 'utf8')).header.kid) }

  town.story = {
    90: () => { town.away = true; noteKid() }, // its time to renew lies in the outage
    113: () => { town.away = false },
    150: async () => { await service.parts.rotator.rotate({ kind: 'forced' }, TEST_EVENT) },
    290: () => { town.away = true; town.stopAgent() },
    300: () => { town.away = false; noteKid() },
    // A rotation in the wrong order: the old one is revoked before the new one has come to the file.
    380: async () => {
      await service.parts.secrets.add(next.stored, () => {}, TEST_EVENT)
      await removeSecret(old?.id)
    },
    405: () => { writeFileSync(town.secretFile, next.secret) },
    500: async () => { await removeSecret(next.stored.id) }
  }

  t.equal(await town.runAgent(), STOPPED, 'stopped at second 290')
  t.ok(town.second() >= 290 && town.second() < 300)
  const reason = await town.runAgent()
  t.match(reason, { name: 'TokenRefused', code: 'invalid_client', message: /invalid_client/ }, 'it has ended with a clear reason')
  t.ok(town.second() > 500 && town.second() < 600, `at second ${town.second()}`)
  t.strictSame(town.bad.filter(line => !line.startsWith(`second ${town.second()}:`)), [], 'until then the file has held a good token, at each second')
  t.equal(kids.size, 2, 'of two keys')

  const log = town.log.join('\n')
  t.match(log, /cannot be reached/)
  t.match(log, /no new token: [^\n]*invalid_client/)
  t.match(log, /the next one comes at 2026-/)
  t.notMatch(log, /eyJ|mmk_/, 'no token and no secret in the log')
})

await t.test('a service that is away for longer: the last token stays, and a new one comes when it is back', async t => {
  const town = await startTown(t, 60)
  town.story = {
    10: () => { town.away = true },
    200: () => { town.away = false },
    260: () => { town.stopAgent() }
  }
  let last = ''
  town.story[59] = () => { last = readFileSync(town.file, 'utf8') }
  town.story[199] = () => { t.equal(readFileSync(town.file, 'utf8'), last, 'left in place') }
  t.equal(await town.runAgent(), STOPPED)
  t.match(town.bad[0], /second 6\d: token_expired/)
  t.ok(town.bad.every(line => Number(/\d+/.exec(line)?.[0]) < 235), `it is renewed within the longest wait after: ${town.bad.at(-1) ?? ''}`)
})

await t.test('renewed at 80 % of its life, or a little sooner', async t => {
  const town = await startTown(t, 100)
  let first = ''
  town.story = {
    1: () => { first = readFileSync(town.file, 'utf8') },
    77: () => { t.equal(readFileSync(town.file, 'utf8'), first) },
    81: () => { t.not(readFileSync(town.file, 'utf8'), first) },
    82: () => { town.stopAgent() }
  }
  t.equal(await town.runAgent(), STOPPED)
})

await t.test('lives of five seconds', async t => {
  const town = await startTown(t, 5)
  town.story = { 60: () => { town.stopAgent() } }
  t.equal(await town.runAgent(), STOPPED)
  t.strictSame(town.bad, [])
})

await t.test('at the start a refusal is believed when it is said twice', async t => {
  const town = await startTown(t, 60)
  writeFileSync(town.secretFile, 'mmk_wrong')
  writeFileSync(town.file, 'what an agent before has left')
  t.match(await town.runAgent(), { code: 'invalid_client' })
  t.equal(town.log.filter(line => /no new token/.test(line)).length, 1)
  t.equal(readFileSync(town.file, 'utf8'), 'what an agent before has left')

  rmSync(town.secretFile)
  t.match(await town.runAgent(), { message: /the secret takes a readable file: ENOENT/ })
})

await t.test('a secret that is written after the first try is found', async t => {
  const town = await startTown(t, 60)
  rmSync(town.secretFile)
  writeFileSync(town.file, '')
  town.story = { 1: () => { writeFileSync(town.secretFile, `${town.bot.clientSecret}\n`) }, 20: () => { town.stopAgent() } }
  t.equal(await town.runAgent(), STOPPED)
  t.equal((await town.service.parts.verifier.explain(readFileSync(town.file, 'utf8'), judgeByJose)).active, true)
})

await t.test('when it renews, and when it gives up', async t => {
  const at = (seconds: number): Date => new Date(seconds * 1000)
  const hour = { token: '', renewAt: at(2880), expiresAt: at(3600) }
  t.strictSame(renewalOf(hour, 0), at(2880), 'at 80 %')
  t.strictSame(renewalOf(hour, 0.5), at(2880 - 36), 'or a little sooner')
  t.strictSame(givesUpAt(undefined, at(7)), at(7), 'there is nothing to lose')
  t.strictSame(givesUpAt(hour, at(2880)), at(3180), 'after five minutes')
  t.strictSame(givesUpAt(hour, at(3500)), at(3600), 'and not after the token')
})
