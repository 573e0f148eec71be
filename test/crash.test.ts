/** Every acknowledged change survives `kill -9` at any moment; what was not acknowledged is there whole or not at all. */
import t from 'tap'
import { openShell, type Server } from './fakes/pool-processes.ts'
import { temporaryFolder } from './fakes/service.ts'

/** Forty and more are for the patient: MINTMARK_TEST_KILLS=40. */
const KILLS = Number(process.env.MINTMARK_TEST_KILLS ?? 8)

t.setTimeout(60_000 + KILLS * 10_000)

interface Acknowledged {
  bots: Set<string>
  deleted: Set<string>
  tokens: Set<string>
  revoked: Set<string>
}

class Gone extends Error {}

/** Asks the server as an admin; throws `Gone` once it is. */
function askAt (server: Server, token: string) {
  return async (method: string, path: string, body?: object): Promise<{ status: number, json: Record<string, unknown> }> => {
    try {
      const response = await fetch(`${server.url}${path}`, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, ...(body && { body: JSON.stringify(body) }) })
      const text = await response.text()
      return { status: response.status, json: text === '' ? {} : JSON.parse(text) as Record<string, unknown> }
    } catch (error) {
      throw new Gone('the server is gone', { cause: error })
    }
  }
}

async function fetchToken (server: Server, clientId: string, clientSecret: string): Promise<string> {
  const response = await fetch(`${server.url}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret }) }).catch((error: unknown) => { throw new Gone('gone', { cause: error }) })
  return (await response.json() as { access_token: string }).access_token
}

await t.test(`kill -9, ${KILLS} times, loses nothing that was acknowledged, and leaves nothing half-made`, async t => {
  const shell = openShell(t, temporaryFolder(t), { MINTMARK_ISSUER: 'http://localhost:8590', LOG_LEVEL: 'error' })
  const admin = await shell.json<{ clientSecret: string }>('bot', 'create', 'admin-bot', '--admin', '--secret')
  const worker = await shell.json<{ clientSecret: string }>('bot', 'create', 'worker-bot', '--secret')

  const done: Acknowledged = { bots: new Set(), deleted: new Set(), tokens: new Set(), revoked: new Set() }

  for (let round = 0; round < KILLS; round++) {
    const server = await shell.serve()
    const ask = askAt(server, await fetchToken(server, 'admin-bot', admin.clientSecret))
    let number = 0
    const works = [
      async () => {
        const name = `bot-${round}-${number++}`
        if ((await ask('POST', '/admin/bots', { name, scopes: ['a'], cognitoClientIds: [`client-${name}`] })).status === 201) done.bots.add(name)
        if (number % 3 === 0 && (await ask('DELETE', `/admin/bots/${name}`)).status === 204) done.deleted.add(name)
      },
      async () => { done.tokens.add(await fetchToken(server, 'worker-bot', worker.clientSecret)) },
      async () => {
        const token = await fetchToken(server, 'worker-bot', worker.clientSecret)
        const response = await fetch(`${server.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ token, client_id: 'worker-bot', client_secret: worker.clientSecret }) }).catch(() => { throw new Gone() })
        if (response.status === 200) done.revoked.add(token)
      },
      async () => { await ask('POST', '/admin/keys/rotate', { force: true }) }
    ]
    const working = works.map(async work => {
      try {
        for (;;) await work()
      } catch (error) {
        if (!(error instanceof Gone)) throw error
      }
    })
    await new Promise(resolve => { setTimeout(resolve, 50 + Math.random() * 350) })
    await server.end('SIGKILL')
    await Promise.all(working)
  }

  const { keys } = await shell.json<{ keys: Array<{ state: string }> }>('key', 'list')
  t.equal(keys.filter(key => key.state === 'signing').length, 1, 'exactly one key signs')
  t.ok(keys.some(key => key.state === 'pending'))

  const server = await shell.serve()
  const ask = askAt(server, await fetchToken(server, 'admin-bot', admin.clientSecret))
  const names = new Set<string>()
  let next: unknown = ''
  while (typeof next === 'string') {
    const page = await ask('GET', `/admin/bots?limit=200${next === '' ? '' : `&after=${next}`}`)
    const bots = page.json.bots as Array<{ name: string, scopes: string[], cognitoClientIds: string[] }>
    for (const bot of bots) names.add(bot.name)
    t.same(bots.filter(bot => bot.name.startsWith('bot-') && (bot.scopes[0] !== 'a' || bot.cognitoClientIds[0] !== `client-${bot.name}`)), [], 'no bot is half-made')
    next = page.json.next
  }
  t.ok(done.bots.size > KILLS, `${done.bots.size} bots were acknowledged, ${done.tokens.size} tokens, ${done.revoked.size} revocations`)
  t.same([...done.bots].filter(name => !names.has(name) && !done.deleted.has(name) && Number(name.split('-')[2]) % 3 !== 2), [], 'no bot is lost')
  t.same([...done.deleted].filter(name => names.has(name)), [], 'no deletion is lost')

  const verdict = async (token: string): Promise<unknown> => (await askAt(server, token)('POST', '/verify')).json.code ?? 'good'
  const verdicts = async (tokens: Iterable<string>): Promise<unknown[]> => [...new Set(await Promise.all([...tokens].map(verdict)))]
  t.same(await verdicts(done.tokens), ['good'], 'every unrevoked token verifies')
  t.same(await verdicts(done.revoked), ['token_revoked'], 'no revocation is lost')
  await server.end('SIGTERM')
})
