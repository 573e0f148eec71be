/** The Dockerfile: it is well-formed, takes nothing in that it should not, and what it makes runs unprivileged in a tree that nobody can write. */
import { chownSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { validate } from 'dockerfile-utils'
import t from 'tap'
import { SETTINGS } from '../../src/settings.ts'
import { buildImage, cannotRun, checkoutFiles, dockerfile, ended, isInContext, lastStage, start } from '../fakes/image.ts'
import { freePort } from '../fakes/shell.ts'

await t.test('the file', async t => {
  t.strictSame(validate(dockerfile), [])
  const { of, json } = lastStage()
  t.equal(of('USER')[0]?.getArgumentsContent(), '1000:1000', 'not root, in numbers')
  t.strictSame([json('ENTRYPOINT'), json('CMD')], [['mintmark'], ['serve']], 'without a shell, which would keep SIGTERM to itself')
  t.strictSame(json('VOLUME'), ['/data', '/keys'])
  t.equal(of('WORKDIR')[0]?.getArgumentsContent(), '/', 'so the paths that settings have by default are those of the volumes')
  t.match([SETTINGS.MINTMARK_DATABASE_URL.fallback, SETTINGS.MINTMARK_MASTER_KEY.fallbackShown], ['sqlite:data/mintmark.db', 'file keys/master.key'])
  t.equal(of('EXPOSE')[0]?.getArgumentsContent(), SETTINGS.MINTMARK_PORT.fallback)
})

await t.test('Node gets the same flags, whatever starts it', async t => {
  const [, fromNpm] = /exec node (--.*) src\/cli\.ts serve"/.exec(readFileSync('package.json', 'utf8')) ?? []
  const [, fromImage] = /NODE_OPTIONS="(.*)"/.exec(dockerfile) ?? []
  const [, fromSystemd] = /"NODE_OPTIONS=(.*)"/.exec(readFileSync('deploy/systemd/mintmark.service', 'utf8')) ?? []
  t.match(fromNpm, /--max-semi-space-size=\d+ --v8-pool-size=\d+/)
  t.strictSame([fromImage, fromSystemd], [fromNpm, fromNpm])
})

await t.test('what goes into it', async t => {
  const others = ['.env', 'openmetadata_cognito.env', 'secrets/master_key', 'keys/master.key', 'data/mintmark.db', 'node_modules/pg/package.json', '.git/config', 'id_rsa']
  const taken = [...checkoutFiles(), ...others].filter(isInContext)
  t.strictSame(taken.filter(file => !/^(?:src(?:\/.*)?|package\.json|package-lock\.json|LICENSE)$/.test(file)), [])
  t.ok(taken.includes('src/cli.ts'))
})

await t.test('what it makes', { skip: cannotRun }, async t => {
  const image = buildImage(t)
  const port = await freePort()
  const environment = { MINTMARK_PORT: `${port} # ours` } // as docker run --env-file hands it on
  t.strictSame(Object.keys(image.environment), ['NODE_ENV', 'NODE_OPTIONS', 'MINTMARK_HOST'], 'no path is set that a user of the image could not set otherwise')
  t.equal((await ended(start(image, image.healthcheck, environment))).code, 1, 'unhealthy before it runs')

  const server = start(image, image.command, environment)
  const serving = ended(server)
  t.teardown(() => { server.kill('SIGKILL') })
  while ((await ended(start(image, image.healthcheck, environment))).code !== 0) {
    if (server.exitCode !== null) throw new Error((await serving).stdout)
    await sleep(100)
  }
  t.pass('healthy when it runs')

  const made = await ended(start(image, ['mintmark', 'bot', 'create', 'ingestion-bot', '--secret', '--json'], environment))
  t.equal(made.code, 0, made.stderr)
  const { clientId, clientSecret } = JSON.parse(made.stdout) as { clientId: string, clientSecret: string }
  const answer = await fetch(`http://127.0.0.1:${port}/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials' })
  })
  t.equal(answer.status, 200)
  const doctor = await ended(start(image, ['mintmark', 'doctor'], environment))
  t.equal(doctor.code, 0, doctor.stdout)

  server.kill('SIGTERM')
  const { code, stdout } = await serving
  t.equal(code, 0, 'SIGTERM ends it')
  t.match(stdout, /: +mintmark bot create ingestion-bot/, 'its hints are commands that the image has')
  t.notMatch(stdout, /npm run/)
  t.strictSame(readdirSync(join(image.root, 'keys')), ['master.key'])
  t.ok(readdirSync(join(image.root, 'data')).includes('mintmark.db'))
  t.equal(statSync(join(image.root, 'keys/master.key')).mode & 0o777, 0o600)
})

await t.test('any user will do, also one that the image does not know', { skip: cannotRun || (process.getuid?.() !== 0 && 'only root can become another user') }, async t => {
  const image = buildImage(t)
  const uid = 1_000_620_000 // such as OpenShift gives
  for (const folder of ['data', 'keys']) chownSync(join(image.root, folder), uid, uid)
  const made = await ended(start(image, ['mintmark', 'bot', 'create', 'ingestion-bot'], {}, uid))
  t.equal(made.code, 0, made.stderr)
})
