/** docs/deploy-docker.md is run, with a `docker` that does here what the containers would: mintmark with the page's settings, behind nginx. */
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { composeEnvironment, startFront } from '../fakes/compose.ts'
import { examplesOf, runExamples } from '../fakes/examples.ts'
import { nginxIsMissing } from '../fakes/nginx.ts'
import { startPool } from '../fakes/pool.ts'
import { freePort, freshCheckout } from '../fakes/shell.ts'

t.setTimeout(120_000)

const PAGE = readFileSync(new URL('../../docs/deploy-docker.md', import.meta.url), 'utf8')

/** Only what the page says may be said. What `up` starts runs already. */
const DOCKER = `#!/bin/sh
case "$*" in
  'compose up --build --detach --wait') test -f secrets/master_key && test -f secrets/database_url ;;
  'compose exec -T mintmark '*) shift 4; exec "$@" ;;
  *) echo "not said on the page: docker $*" >&2; exit 1 ;;
esac
`

await t.test('the page', { skip: nginxIsMissing }, async t => {
  const pool = await startPool(t)
  const ports = { mintmark: await freePort(), api: await freePort(), replica: await freePort() }
  const page = PAGE
    .replaceAll('8590', String(ports.mintmark))
    .replaceAll('8585', String(ports.api))
    .replaceAll('https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8', pool.issuer)
  const examples = examplesOf(page)
  const guide = examples.find(({ language }) => language === 'ini')?.text ?? ''

  const given = { ...parseEnv(guide), ...composeEnvironment(), MINTMARK_PUBLIC_URL: `http://localhost:${ports.mintmark}`, MINTMARK_TRUST_PROXY: '127.0.0.1' }
  // SQLite in place of PostgreSQL: which one it is changes nothing on this page. What the secrets are worth, compose.test.ts says.
  const { MINTMARK_DATABASE_URL_FILE, MINTMARK_MASTER_KEY_FILE, ...settings } = given as Record<string, string>
  t.match({ MINTMARK_DATABASE_URL_FILE, MINTMARK_MASTER_KEY_FILE }, { MINTMARK_DATABASE_URL_FILE: /^\/run\/secrets/, MINTMARK_MASTER_KEY_FILE: /^\/run\/secrets/ })
  const idToken = await pool.idToken({ email: 'alice@example.com' })
  const checkout = freshCheckout(t, { PATH: `bin:${process.env.PATH ?? ''}`, ...settings, MINTMARK_PORT: String(ports.replica), ID_TOKEN: idToken })
  mkdirSync(join(checkout.folder, 'bin'))
  writeFileSync(join(checkout.folder, 'bin/docker'), DOCKER)
  chmodSync(join(checkout.folder, 'bin/docker'), 0o755)
  symlinkSync('../src/cli.ts', join(checkout.folder, 'bin/mintmark'))
  symlinkSync(new URL('../../deploy', import.meta.url).pathname, join(checkout.folder, 'deploy'))

  await checkout.start('mintmark serve', `http://localhost:${ports.replica}/health/ready`)
  await startFront(t, ports, ['127.0.0.1'])
  await runExamples(t, checkout, examples)
})
