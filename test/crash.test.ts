/** Every acknowledged change survives `kill -9` at any moment; what was not acknowledged is there whole or not at all. */
import t from 'tap'
import { openShell } from './fakes/pool-processes.ts'
import { temporaryFolder } from './fakes/service.ts'

t.setTimeout(120_000)

const ROUNDS = 5

await t.test('kill -9 loses nothing that was acknowledged, and leaves no half-made bot', async t => {
  const shell = openShell(t, temporaryFolder(t), { MINTMARK_ISSUER: 'http://localhost:8590' })
  const admin = await shell.json<{ clientSecret: string }>('bot', 'create', 'admin-bot', '--admin', '--secret')
  const acknowledged = new Set<string>()
  for (let round = 0; round < ROUNDS; round++) {
    const server = await shell.serve()
    const login = await fetch(`${server.url}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: 'admin-bot', client_secret: admin.clientSecret }) })
    const { access_token: token } = await login.json() as { access_token: string }
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    let number = 0
    const work = async (): Promise<void> => {
      for (;;) {
        const name = `bot-${round}-${number++}`
        const response = await fetch(`${server.url}/admin/bots`, { method: 'POST', headers, body: JSON.stringify({ name, scopes: ['a'], cognitoClientIds: [`client-${name}`] }) })
        if (response.status === 201) acknowledged.add(name)
      }
    }
    const workers = [work(), work(), work()].map(async working => { await working.catch(() => { /* the server is gone */ }) })
    await new Promise(resolve => { setTimeout(resolve, 100 + Math.random() * 300) })
    await server.end('SIGKILL')
    await Promise.all(workers)
  }

  const { bots } = await shell.json<{ bots: Array<{ name: string, scopes: string[], cognitoClientIds: string[] }> }>('bot', 'list')
  const names = new Set(bots.map(bot => bot.name))
  t.ok(acknowledged.size > ROUNDS, `${acknowledged.size} were acknowledged`)
  t.same([...acknowledged].filter(name => !names.has(name)), [], 'none of them is lost')
  t.same(bots.filter(bot => bot.name !== 'admin-bot' && (bot.scopes[0] !== 'a' || bot.cognitoClientIds[0] !== `client-${bot.name}`)), [], 'none is half-made')
})
