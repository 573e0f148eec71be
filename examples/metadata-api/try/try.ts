/**
 * `npm run example:metadata-api`: starts everything, says where to look, and ends everything on Ctrl-C. Nothing of it is left behind.
 * PORT=8586 takes another port than 8585.
 */
import { constants } from 'node:os'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { openStage } from '../../demo/stage.ts'
import { fetchToken, PEOPLE, startTown, type Town } from './town.ts'

const port = Number(process.env.PORT ?? 8585)

async function assertFree (port: number): Promise<void> {
  const server = createServer().listen(port, 'localhost')
  await once(server, 'listening')
  await once(server.close(), 'close')
}

function guide ({ url, service }: Town, token: string): string {
  const people = Object.values(PEOPLE).map(({ username, password }) => `    ${username.padEnd(8)} ${password}`)
  return [
    '',
    `  ${url}`,
    '',
    '  Sign in as one of',
    ...people,
    '  ada and grace are analysts, barbara is an admin. Take a table, edit it, sign in as another.',
    '',
    '  What a bot may do, with a token of an hour:',
    '',
    `    curl -X PUT ${url}/api/v1/tables/orders -H 'Content-Type: application/json' -d '{"description":"From the shop."}' -H 'Authorization: Bearer ${token}'`,
    '',
    `  mintmark itself: ${service.url}/docs. Ctrl-C ends all of it.`,
    ''
  ].join('\n')
}

const stage = await openStage()
const ended = new Promise<NodeJS.Signals>(resolve => {
  // Stays in place: the terminal sends Ctrl-C, and npm passes it on once more.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => { resolve(signal) })
})

try {
  await assertFree(port)
  console.log('Starting mintmark, cognito-local and the metadata API …')
  const started = startTown(stage, port).then(async town => { console.log(guide(town, await fetchToken(town.service, town.bot))) })
  // Broken off by Ctrl-C, it fails after that: nobody needs to hear of it.
  const signal = await Promise.race([ended, started.then(async () => await ended)])
  process.exitCode = 128 + constants.signals[signal]
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') console.error(`Port ${port} is in use. End what listens there, or take another: PORT=8586 npm run example:metadata-api`)
  else console.error(`${message}\n${await stage.lastWords()}`)
  process.exitCode = 1
} finally {
  await stage.close()
}
