/** docs/cognito.md is run: the rehearsal against cognito-local, the sign-in by hand against pages that check it as Cognito does. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { ADVICE } from '../src/verify/explanation.ts'
import { VERIFY_FAILURES } from '../src/verify/errors.ts'
import { examplesOf, runExamples, type Example } from './fakes/examples.ts'
import { startPool, type Pool } from './fakes/pool.ts'
import { startService, type Teardown } from './fakes/service.ts'
import { freePort, freshCheckout } from './fakes/shell.ts'

t.setTimeout(120_000)

const PAGE = readFileSync(new URL('../docs/cognito.md', import.meta.url), 'utf8')
const CALLBACK = 'http://localhost:8585/callback'

const under = (page: string, heading: string): Example[] => examplesOf(page).filter(example => example.heading === heading)

await t.test('a rehearsal without AWS', async t => {
  const [port, emulator] = [await freePort(), await freePort()]
  const examples = under(PAGE.replaceAll('8590', String(port)).replaceAll('9229', String(emulator)), 'A rehearsal without AWS')
  const checkout = freshCheckout(t, { MINTMARK_PORT: String(port) })

  t.equal(examples[0]?.text.trim(), 'mkdir -p data && cd data && npx cognito-local')
  mkdirSync(join(checkout.folder, 'data'))
  await checkout.start(`env -C data PORT=${emulator} npx cognito-local`, `http://localhost:${emulator}/health`)

  const endWithTheShell: Example = { language: 'sh', heading: '', text: 'trap \'kill $(jobs -p) 2>/dev/null || true\' EXIT' }
  await runExamples(t, checkout, [endWithTheShell, ...examples])
})

await t.test('a user\'s token, by hand', async t => {
  const pool = await startPool(t)
  const service = await startService(t, pool.settings, { clock: () => new Date(), advance: () => {} })
  const address = await service.app.listen({ host: '127.0.0.1', port: 0 })
  const pages = await startPages(t, pool)
  const page = PAGE.replaceAll('http://localhost:8590', address).replaceAll('https://your-prefix.auth.us-west-1.amazoncognito.com', pages)
  const [begin, inTheBrowser, ...rest] = under(page, 'A user\'s token, by hand')
  t.equal(inTheBrowser?.text, 'CODE=…\n')

  // The browser's part: to go where it is told, and to be sent back with a code.
  const browser: Example = { language: 'sh', heading: '', text: 'CODE=$(curl -sS -o /dev/null -w \'%{redirect_url}\' "$ADDRESS" | sed \'s/.*code=//\')' }
  const asked: Example = { language: 'sh', heading: '', text: begin?.text.replace('echo "$DOMAIN', 'ADDRESS="$DOMAIN') ?? '' }
  await runExamples(t, freshCheckout(t, {}), [asked, browser, ...rest])
})

await t.test('the table of failures', async t => {
  const [, table = ''] = PAGE.split('## What to check when it does not work')
  const named = [...table.matchAll(/^\|[^|]*\| `(\w+)`/gm)].map(([, code = '']) => code)
  t.ok(named.length > 10)
  t.strictSame(named.filter(code => !Object.hasOwn(VERIFY_FAILURES, code)), [], 'names codes that there are')
  const ofUsers = Object.entries(ADVICE).filter(([, advice]) => /AUTHENTICATION_|AUTHORIZER_|user pool|machine client/.test(advice)).map(([code]) => code)
  t.strictSame(ofUsers.filter(code => !named.includes(code) && code !== 'claim_missing'), [], 'and all that users meet')
})

/** The authorization code grant with PKCE, as far as a client sees it. @returns their address */
async function startPages (t: Teardown, pool: Pool): Promise<string> {
  let challenge: string | null = null
  const server = createServer((request, response) => {
    void (async () => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://pages')
      if (pathname === '/oauth2/authorize' && isRight(searchParams, pool) && searchParams.get('code_challenge_method') === 'S256' && searchParams.get('scope') === 'openid email profile') {
        challenge = searchParams.get('code_challenge')
        response.writeHead(302, { location: `${CALLBACK}?code=a-code` }).end()
        return
      }
      const form = new URLSearchParams(await text(request))
      const proven = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url') === challenge
      if (pathname === '/oauth2/token' && isRight(form, pool) && proven && form.get('code') === 'a-code' && form.get('grant_type') === 'authorization_code') {
        response.end(JSON.stringify({ id_token: await pool.idToken({ email: 'alice@example.com' }), access_token: await pool.accessToken(), expires_in: 3600, token_type: 'Bearer' }))
      } else response.writeHead(400).end('{"error":"invalid_grant"}')
    })()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => { server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function isRight (parameters: URLSearchParams, pool: Pool): boolean {
  return parameters.get('client_id') === pool.clientId && parameters.get('redirect_uri') === CALLBACK
}
