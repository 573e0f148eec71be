/** docs/moving-from-openmetadata.md is run, once for each way to import the key; what else it says of mintmark is tried. */
import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { SignJWT, type JWTPayload } from 'jose'
import t from 'tap'
import { DEMO_MODULUS } from '../src/keys/demo-key.ts'
import { examplesOf, runExamples } from './fakes/examples.ts'
import { me, optionsFor, startApi, startTown } from './fakes/metadata-api.ts'
import { startService, temporaryFolder, type Teardown } from './fakes/service.ts'
import { freePort, freshCheckout, type Checkout } from './fakes/shell.ts'

t.setTimeout(120_000)

const page = readFileSync(new URL('../docs/moving-from-openmetadata.md', import.meta.url), 'utf8')
const LOOK_FIRST = '2. Let its tokens verify here'
const WAYS = ['By the command line', 'By a call', 'By settings']
const OM_KID = 'Gb389a-9f76-gdjs-a92j-0242bk94356'

for (const way of WAYS) {
  await t.test(way, async t => {
    const [servicePort, apiPort] = [await freePort(), await freePort()]
    const others = [...WAYS.filter(other => other !== way), ...(way === 'By settings' ? [LOOK_FIRST] : [])]
    const examples = examplesOf(page.replaceAll('8590', String(servicePort)).replaceAll('8585', String(apiPort))).filter(({ heading }) => !others.includes(heading))

    const om = openMetadata(t)
    const checkout = freshCheckout(t, { MINTMARK_PORT: String(servicePort), OM_TOKEN: await om.token() })
    mkdirSync(join(checkout.folder, 'conf'))
    writeFileSync(join(checkout.folder, 'conf', 'public_key.der'), om.publicKey)
    writeFileSync(join(checkout.folder, '.env'), examples.find(({ language }) => language === 'ini')?.text ?? '')
    await serveBoth(checkout, { servicePort, apiPort, api: examples.find(({ language }) => language === 'ts')?.text ?? '' })

    await runExamples(t, checkout, examples)
  })
}

await t.test('the settings that it shows are those of the token that it shows', async t => {
  const settings = parseEnv(examplesOf(page).find(({ language }) => language === 'ini')?.text ?? '')
  t.match(settings, { JWT_KEY_ID: OM_KID, JWT_ISSUER: 'open-metadata.org' })
})

await t.test('the pair that OpenMetadata ships is refused with the sentence that it shows', async t => {
  const checkout = freshCheckout(t, {})
  writeFileSync(join(checkout.folder, 'demo.der'), createPublicKey({ key: { kty: 'RSA', n: DEMO_MODULUS, e: 'AQAB' }, format: 'jwk' }).export({ format: 'der', type: 'spki' }))
  const { exitCode, stderr } = await checkout.bash('npm run --silent mintmark -- key import --public-key demo.der --kid mine --issuer open-metadata.org')
  t.equal(exitCode, 1)
  t.equal(stderr.trim(), examplesOf(page).find(({ language }) => language === 'console')?.text.trim())
})

await t.test('what it says of the tokens', async t => {
  const service = await startService(t)
  const om = openMetadata(t)
  const now = Math.floor(service.clock().getTime() / 1000)
  const token = await om.token({ iat: now })
  await service.parts.keyOffice.import({ publicKey: om.publicKey, kid: OM_KID, issuer: 'open-metadata.org' }, { actor: { kind: 'cli', name: 'test' } }, false)
  const ask = async (url: string, body: object = {}): Promise<unknown> => {
    const response = await service.app.inject({ method: 'POST', url, headers: { authorization: `Bearer ${token}` }, payload: body })
    return response.statusCode === 200 ? 'good' : response.headers['www-authenticate']
  }

  t.equal(await ask('/verify'), 'good')
  t.match(await ask('/auth?scope=metadata:write'), /insufficient_scope/, 'they have no scopes')
  t.match(await ask('/auth?audience=metadata-api'), /invalid_token/, 'and no audience')

  await service.bot('ingestion-bot')
  service.advance(1)
  const admin = await service.adminToken()
  await service.app.inject({ method: 'POST', url: '/admin/bots/ingestion-bot/revoke-tokens', headers: { authorization: `Bearer ${admin}` }, payload: {} })
  t.match(await ask('/verify'), /invalid_token/, 'revoke-tokens of the bot of that name ends them')
})

await t.test('what it says of the plugin', async t => {
  const town = await startTown(t)
  const { service: { app, parts, adminToken } } = town
  await app.listen({ port: town.port, host: '127.0.0.1' })
  const om = openMetadata(t)
  await parts.keyOffice.import({ publicKey: om.publicKey, kid: OM_KID, issuer: 'open-metadata.org' }, { actor: { kind: 'cli', name: 'test' } }, false)
  const api = await startApi(t, optionsFor(town))
  const known = await me(api, await om.token())
  t.match(JSON.parse(known.text), { name: 'ingestion-bot', legacy: true }, 'it takes tokens of OpenMetadata, too')
  await parts.tokenCounts.flush()
  const listed = await app.inject({ url: '/admin/keys', headers: { authorization: `Bearer ${await adminToken()}` } })
  t.match(listed.json<{ keys: Array<{ kid: string }> }>().keys.find(({ kid }) => kid === OM_KID), { tokens: { lastUsedAt: null, seen: [] } }, 'but the service does not hear of it')
})

async function serveBoth (checkout: Checkout, { servicePort, apiPort, api }: { servicePort: number, apiPort: number, api: string }): Promise<void> {
  writeFileSync(join(checkout.folder, 'api.ts'), api)
  await checkout.start('npm start', `http://localhost:${servicePort}/health/ready`)
  await checkout.start('npx node api.ts', `http://localhost:${apiPort}/`)
}

/** A key pair by the commands of OpenMetadata's own guide, and "Unlimited" tokens with the claims and the header that it gives a bot's. */
function openMetadata (t: Teardown) {
  const folder = temporaryFolder(t)
  for (const command of [
    'genrsa -out private_key.pem 2048',
    'pkcs8 -topk8 -inform PEM -outform DER -in private_key.pem -out private_key.der -nocrypt',
    'rsa -in private_key.pem -pubout -outform DER -out public_key.der'
  ]) execFileSync('openssl', command.split(' '), { cwd: folder, stdio: 'pipe' })
  const privateKey = createPrivateKey({ key: readFileSync(join(folder, 'private_key.der')), format: 'der', type: 'pkcs8' })

  return {
    publicKey: readFileSync(join(folder, 'public_key.der')),
    async token (claims: { iat?: number } = {}): Promise<string> {
      const payload = {
        iss: 'open-metadata.org',
        sub: 'ingestion-bot',
        email: 'ingestion-bot@open-metadata.org',
        isBot: true,
        tokenType: 'BOT',
        iat: Math.floor(Date.now() / 1000),
        exp: null,
        ...claims
      }
      return await new SignJWT(payload as unknown as JWTPayload).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: OM_KID }).sign(privateKey)
    }
  }
}
