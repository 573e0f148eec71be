/** Settings (contract 2): from an environment to a frozen Config, or to every fault at once. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import t from 'tap'
import { configFromProcess, readConfig, SettingsError, type Config } from '../src/config.ts'
import { temporaryFolder } from './fakes/service.ts'

/** The faults that `environment` has; empty if it has none. */
function faultsOf (environment: Record<string, string | undefined>): readonly string[] {
  try {
    readConfig(environment)
    return []
  } catch (error) {
    if (error instanceof SettingsError) return error.faults
    throw error
  }
}

/** The names of the settings that `environment` has faults in. */
const faultyIn = (environment: Record<string, string | undefined>): string[] => faultsOf(environment).map(fault => fault.split(' ')[0] ?? '')

const COGNITO = {
  AUTHENTICATION_PROVIDER: 'aws-cognito',
  AUTHENTICATION_AUTHORITY: 'https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8',
  AUTHENTICATION_CLIENT_ID: '4kd2bq0example7n1v9c3p5t8u'
}
const KEY = 'a'.repeat(42) + 'A'

/** What an operator who followed OpenMetadata's Cognito guide for Docker has in hand. */
const OM_COGNITO = `# What an operator has in hand
AUTHORIZER_CLASS_NAME=org.openmetadata.service.security.DefaultAuthorizer
AUTHORIZER_REQUEST_FILTER=org.openmetadata.service.security.JwtFilter
AUTHORIZER_ADMIN_PRINCIPALS=[admin]  # Your \`name\` from name@domain.com
AUTHORIZER_PRINCIPAL_DOMAIN=open-metadata.org # Update with your domain

AUTHENTICATION_PROVIDER=aws-cognito
AUTHENTICATION_PUBLIC_KEYS=[https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8/.well-known/jwks.json,  https://metadata.example.com/api/v1/system/config/jwks] # Update with your Cognito Domain and User Pool ID
AUTHENTICATION_AUTHORITY=https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8 # Update with your Cognito Domain and User Pool ID
AUTHENTICATION_CLIENT_ID=4kd2bq0example7n1v9c3p5t8u # Update with your Client ID
AUTHENTICATION_CALLBACK_URL=http://localhost:8585/callback
`

/** What \`docker --env-file\` makes of a file: everything after the first \`=\`, comments and blanks too. */
function dockerEnvFile (text: string): Record<string, string> {
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(lines.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

await t.test('defaults', async t => {
  t.match(readConfig({}), {
    host: '127.0.0.1',
    port: 8590,
    publicUrl: 'http://localhost:8590',
    issuer: 'http://localhost:8590',
    audience: ['metadata-api'],
    databaseUrl: 'sqlite:data/mintmark.db',
    masterKey: { file: 'keys/master.key' },
    keySize: 2048,
    rotateEverySeconds: 30 * 86_400,
    publishAheadSeconds: 86_400,
    jwksMaxAgeSeconds: 300,
    tokenTtlSeconds: 3600,
    maxTokenTtlSeconds: 86_400,
    tokenTyp: 'at+jwt',
    clockToleranceSeconds: 5,
    maxStalenessSeconds: 300,
    principalDomain: 'open-metadata.org',
    enforcePrincipalDomain: false,
    principalClaims: ['email', 'preferred_username', 'sub'],
    adminPrincipals: [],
    adminGroups: [],
    tokenUse: ['access', 'id'],
    cognito: null,
    logLevel: 'info',
    warnings: []
  })
  const names = ['MINTMARK_PORT', 'MINTMARK_AUDIENCE', 'MINTMARK_ISSUER', 'AUTHENTICATION_PROVIDER', 'MINTMARK_MASTER_KEY', 'MINTMARK_TOKEN_TTL', 'LOG_LEVEL']
  for (const empty of ['', '  ', '# a comment', '""', '\'\'']) {
    t.strictSame(readConfig(Object.fromEntries(names.map(name => [name, empty]))), readConfig({}), `${JSON.stringify(empty)} means unset`)
  }
})

await t.test('it is frozen, all of it', async t => {
  const config = readConfig({ ...COGNITO, MINTMARK_MASTER_KEY: KEY })
  t.throws(() => { (config as { port: number }).port = 1 })
  t.throws(() => { (config.audience as string[]).push('x') })
  t.throws(() => { (config.cognito?.pools as object[]).push({}) })
})

await t.test('OpenMetadata\'s env file works unchanged', async t => {
  const readings: Array<[string, Record<string, string | undefined>]> = [
    ['as dotenv reads it', parseEnv(OM_COGNITO)],
    ['as docker --env-file reads it', dockerEnvFile(OM_COGNITO)],
    ['with Windows line ends', Object.fromEntries(Object.entries(dockerEnvFile(OM_COGNITO)).map(([name, value]) => [name, `${value}\r`]))]
  ]
  for (const [name, environment] of readings) {
    const config = readConfig(environment)
    t.match(config, {
      adminPrincipals: ['admin'],
      principalDomain: 'open-metadata.org',
      cognito: {
        clientIds: ['4kd2bq0example7n1v9c3p5t8u'],
        pools: [{
          authority: 'https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8',
          jwksUri: 'https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8/.well-known/jwks.json'
        }]
      },
      warnings: []
    }, name)
    t.equal(config.cognito?.pools.length, 1)
  }
})

await t.test('all faults at once, one line each, the name first', async t => {
  const environment = {
    MINTMARK_PORT: '70000',
    MINTMARK_KEY_SIZE: '1024',
    MINTMARK_TOKEN_TTL: '0s',
    MINTMARK_ROTATE_EVERY: '1 day',
    MINTMARK_TOKEN_TYP: 'jwt',
    MINTMARK_ALLOW_HTTP: 'yes',
    MINTMARK_AUDIENCE: '[]',
    MINTMARK_DATABASE_URL: 'mysql://x',
    MINTMARK_MASTER_KEY: 'short',
    MINTMARK_PUBLIC_URL: 'ftp://x',
    MINTMARK_TOKEN_USE: '[access,refresh]',
    AUTHENTICATION_PROVIDER: 'google',
    AUTHORIZER_PRINCIPAL_DOMAIN: 'a b',
    LOG_LEVEL: 'loud'
  }
  const faults = faultsOf(environment)
  t.strictSame(faults.map(fault => fault.split(' ')[0]).sort(), Object.keys(environment).sort())
  for (const fault of faults) {
    t.notMatch(fault, /\n/)
    t.match(fault, /^[A-Z_]+ takes ./, 'with what it takes')
  }
  t.match(faults.find(fault => fault.startsWith('AUTHENTICATION_PROVIDER')), /aws-cognito.*google/, 'a provider that is not supported is refused by name')
  t.equal(new SettingsError(faults).message.split('\n').length, faults.length)
  const folded = faultsOf({ LOG_LEVEL: 'lo\nud', MINTMARK_AUDIENCE: '[a,\n,b]' })
  t.strictSame(folded.filter(fault => /[\r\n]/.test(fault)), [], 'a value of two lines makes no fault of two lines')
})

await t.test('secrets are never repeated', async t => {
  for (const secret of ['hunter2-hunter2', `${KEY},hunter2-hunter2`]) {
    const faults = faultsOf({ MINTMARK_MASTER_KEY: secret })
    t.equal(faults.length, 1)
    t.notMatch(faults.join('\n'), /hunter2|aaaa/)
    t.match(faults[0], /^MINTMARK_MASTER_KEY takes .*32/)
  }
  for (const name of ['MINTMARK_DATABASE_URL', 'MINTMARK_PUBLIC_URL', 'MINTMARK_ISSUER']) {
    const scheme = name === 'MINTMARK_DATABASE_URL' ? 'mysql' : 'https'
    const faults = faultsOf({ [name]: `${scheme}://admin:hunter2@db.example/x` })
    t.equal(faults.length, 1)
    t.notMatch(faults.join('\n'), /hunter2/, `a password in ${name}`)
  }
})

await t.test('lists: [a, b], a,b or JSON, quotes tolerated', async t => {
  const audience = (value: string): readonly string[] => readConfig({ MINTMARK_AUDIENCE: value }).audience
  for (const value of ['[a, b]', 'a,b', 'a , b', '["a", "b"]', '["a","b"] # comment', '[\'a\', "b"]', '"[a, b]"', '\'a,b\'', '[a,b]   # why', ' [ a , b ] ']) {
    t.strictSame(audience(value), ['a', 'b'], value)
  }
  for (const value of ['a', '[a]', '["a"]', '"a"', 'a # comment', 'a\t# comment']) t.strictSame(audience(value), ['a'], value)
  t.strictSame(audience('a#b'), ['a#b'], 'no comment without a blank before it')
  for (const value of ['a,,b', '[a,]', ',', '["a", 7]', '["a", ""]', '[]']) t.strictSame(faultyIn({ MINTMARK_AUDIENCE: value }), ['MINTMARK_AUDIENCE'], value)
  t.strictSame(readConfig({ MINTMARK_ADMIN_GROUPS: '[]' }).adminGroups, [], 'a list that may be empty')
})

await t.test('quotes, comments and letter case', async t => {
  t.match(readConfig({ MINTMARK_PORT: '"9000" # mine', AUTHORIZER_ENFORCE_PRINCIPAL_DOMAIN: ' True ', LOG_LEVEL: 'DEBUG', AUTHORIZER_PRINCIPAL_DOMAIN: '\'Example.COM\'' }), {
    port: 9000, publicUrl: 'http://localhost:9000', enforcePrincipalDomain: true, logLevel: 'debug', principalDomain: 'example.com'
  })
})

await t.test('durations', async t => {
  const ttl = (value: string): number => readConfig({ MINTMARK_TOKEN_TTL: value, MINTMARK_MAX_TOKEN_TTL: '90d' }).tokenTtlSeconds
  t.equal(ttl('90s'), 90)
  t.equal(ttl('15m'), 900)
  t.equal(ttl('24h'), 86_400)
  t.equal(ttl('30d'), 30 * 86_400)
  t.equal(ttl('1s'), 1)
  for (const value of ['0s', '90', '1w', '1.5h', '-1s', '1h30m', '1H', '999999999d', '٣s']) t.strictSame(faultyIn({ MINTMARK_TOKEN_TTL: value, MINTMARK_MAX_TOKEN_TTL: '90d' }), ['MINTMARK_TOKEN_TTL'], value)
  t.equal(readConfig({ MINTMARK_CLOCK_TOLERANCE: '0s' }).clockToleranceSeconds, 0)
})

await t.test('secrets from files', async t => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'secret')
  writeFileSync(file, 'one, two\n')
  t.strictSame(readConfig({ MINTMARK_AUDIENCE_FILE: file }).audience, ['one', 'two'])
  t.strictSame(faultyIn({ MINTMARK_AUDIENCE_FILE: file, MINTMARK_AUDIENCE: 'one' }), ['MINTMARK_AUDIENCE'], 'both at once')
  t.match(faultsOf({ MINTMARK_AUDIENCE_FILE: file, MINTMARK_AUDIENCE: 'one' })[0], /MINTMARK_AUDIENCE.*MINTMARK_AUDIENCE_FILE/)
  t.strictSame(faultyIn({ MINTMARK_MASTER_KEY_FILE: file, MINTMARK_MASTER_KEY: KEY }), ['MINTMARK_MASTER_KEY'])
  t.match(faultsOf({ MINTMARK_AUDIENCE_FILE: join(folder, 'missing') }), [/^MINTMARK_AUDIENCE_FILE takes .*missing/])
  mkdirSync(join(folder, 'folder'))
  t.strictSame(faultyIn({ MINTMARK_AUDIENCE_FILE: join(folder, 'folder') }), ['MINTMARK_AUDIENCE_FILE'], 'a folder is no file')
  t.strictSame(readConfig({ MINTMARK_AUDIENCE_FILE: '', MINTMARK_AUDIENCE: 'one' }).audience, ['one'], 'empty means unset')
  t.match(readConfig({ MINTMARK_MASTER_KEY_FILE: '/run/secrets/key' }).masterKey, { file: '/run/secrets/key' })
  t.strictSame(readConfig({ MINTMARK_AUDIENCE_FILE: file }).warnings, [], 'and no warning')
})

await t.test('master keys', async t => {
  const keys = (value: string): Config['masterKey'] => readConfig({ MINTMARK_MASTER_KEY: value }).masterKey
  t.match(keys(KEY), { keys: [Buffer.from(KEY, 'base64url')] })
  t.match(keys(`[${KEY}, ${'b'.repeat(42)}A]`), { keys: [Buffer.from(KEY, 'base64url'), Buffer.from(`${'b'.repeat(42)}A`, 'base64url')] })
  for (const value of ['a'.repeat(42), 'a'.repeat(44), 'a'.repeat(64), `${'a'.repeat(42)}!`, `${'a'.repeat(42)}B`]) t.strictSame(faultyIn({ MINTMARK_MASTER_KEY: value }), ['MINTMARK_MASTER_KEY'], value)
})

await t.test('inequalities name both settings', async t => {
  const broken: Array<[Record<string, string>, RegExp]> = [
    [{ MINTMARK_PUBLISH_AHEAD: '15m' }, /^MINTMARK_PUBLISH_AHEAD .*MINTMARK_JWKS_MAX_AGE.*MINTMARK_CLOCK_TOLERANCE/],
    [{ MINTMARK_JWKS_MAX_AGE: '8h' }, /^MINTMARK_PUBLISH_AHEAD .*MINTMARK_JWKS_MAX_AGE/],
    [{ MINTMARK_ROTATE_EVERY: '24h' }, /^MINTMARK_PUBLISH_AHEAD .*MINTMARK_ROTATE_EVERY/],
    [{ MINTMARK_TOKEN_TTL: '25h' }, /^MINTMARK_TOKEN_TTL .*MINTMARK_MAX_TOKEN_TTL/],
    [{ MINTMARK_MAX_TOKEN_TTL: '59m' }, /^MINTMARK_TOKEN_TTL .*MINTMARK_MAX_TOKEN_TTL/]
  ]
  for (const [environment, message] of broken) t.match(faultsOf(environment), [message], JSON.stringify(environment))
  t.strictSame(faultsOf({ MINTMARK_PUBLISH_AHEAD: '905s', MINTMARK_ROTATE_EVERY: '906s' }), [], 'the limits themselves are good')
  t.strictSame(faultsOf({ MINTMARK_TOKEN_TTL: '24h' }), [])
  t.strictSame(faultyIn({ MINTMARK_PUBLISH_AHEAD: '904s' }), ['MINTMARK_PUBLISH_AHEAD'])
})

await t.test('a provider asks for an authority and a client', async t => {
  t.strictSame(faultyIn({ AUTHENTICATION_PROVIDER: 'aws-cognito' }).sort(), ['AUTHENTICATION_AUTHORITY', 'AUTHENTICATION_CLIENT_ID'])
  t.strictSame(faultyIn({ ...COGNITO, AUTHENTICATION_AUTHORITY: '[]' }), ['AUTHENTICATION_AUTHORITY'], 'an empty list is none')
  t.strictSame([...new Set(faultyIn({ ...COGNITO, AUTHENTICATION_CLIENT_ID: '[]' }))], ['AUTHENTICATION_CLIENT_ID'])
  t.match(readConfig({ ...COGNITO, AUTHENTICATION_AUTHORITY: `${COGNITO.AUTHENTICATION_AUTHORITY}/` }).cognito?.pools, [{ authority: COGNITO.AUTHENTICATION_AUTHORITY }], 'a trailing slash is dropped')
  t.equal(readConfig({ ...COGNITO, AUTHENTICATION_AUTHORITY: '[https://one.example, https://two.example/x]', AUTHENTICATION_CLIENT_ID: 'a,b' }).cognito?.pools.length, 2)
  t.strictSame(faultyIn({ ...COGNITO, AUTHENTICATION_AUTHORITY: 'http://pool.example' }), ['AUTHENTICATION_AUTHORITY'], 'http on loopback only')
  t.strictSame(faultyIn({ ...COGNITO, AUTHENTICATION_AUTHORITY: 'http://pool.example', MINTMARK_ALLOW_HTTP: 'true' }), ['AUTHENTICATION_AUTHORITY'], 'whatever is allowed elsewhere')
  t.strictSame(faultyIn({ ...COGNITO, AUTHENTICATION_AUTHORITY: 'http://localhost:9229/local_pool' }), [])
  t.strictSame(faultyIn({ ...COGNITO, AUTHENTICATION_AUTHORITY: 'http://localhost:8590' }), ['AUTHENTICATION_AUTHORITY'], 'not our own issuer')
})

await t.test('public keys are bound to an issuer', async t => {
  const jwksUris = (keys: string, authority = COGNITO.AUTHENTICATION_AUTHORITY): string[] | undefined =>
    readConfig({ ...COGNITO, AUTHENTICATION_AUTHORITY: authority, AUTHENTICATION_PUBLIC_KEYS: keys }).cognito?.pools.map(pool => pool.jwksUri)
  t.strictSame(jwksUris(`${COGNITO.AUTHENTICATION_AUTHORITY}/other.json`), [`${COGNITO.AUTHENTICATION_AUTHORITY}/other.json`])
  t.strictSame(jwksUris('https://metadata.example.com/api/v1/system/config/jwks'), [`${COGNITO.AUTHENTICATION_AUTHORITY}/.well-known/jwks.json`], 'our own is not fetched')
  for (const keys of ['https://evil.example/jwks.json', `${COGNITO.AUTHENTICATION_AUTHORITY}2/jwks.json`, `${COGNITO.AUTHENTICATION_AUTHORITY}.evil.example/jwks.json`]) {
    t.strictSame(faultyIn({ ...COGNITO, AUTHENTICATION_PUBLIC_KEYS: keys }), ['AUTHENTICATION_PUBLIC_KEYS'], keys)
  }
  t.strictSame(jwksUris('[https://idp.example/realms/a/certs, https://idp.example/certs]', '[https://idp.example, https://idp.example/realms/a]'),
    ['https://idp.example/certs', 'https://idp.example/realms/a/certs'], 'the authority that says most of it, not the first that will do')
})

await t.test('without a provider the rest of AUTHENTICATION_* is ignored, with a warning', async t => {
  const config = readConfig({ AUTHENTICATION_AUTHORITY: 'nonsense', AUTHENTICATION_CLIENT_ID: 'x', AUTHENTICATION_PROVIDER: '' })
  t.equal(config.cognito, null)
  t.equal(config.warnings.length, 1)
  t.match(config.warnings[0], /AUTHENTICATION_AUTHORITY.*AUTHENTICATION_CLIENT_ID/)
})

await t.test('what else is warned of', async t => {
  t.match(readConfig({ MINTMARK_ALLOW_HTTP: 'true' }).warnings, [/MINTMARK_ALLOW_HTTP/])
  t.match(readConfig({ MINTMARK_TOKEN_TLL: '1h' }).warnings, [/MINTMARK_TOKEN_TLL/], 'a name that is not known')
  t.strictSame(readConfig({ PATH: '/bin', AUTHORIZER_CLASS_NAME: 'x', MINT: 'x' }).warnings, [], 'other programs\' variables are theirs')
  t.notMatch(readConfig({ MINTMARK_SECRETT: 'hunter2' }).warnings.join(), /hunter2/)
})

await t.test('http on loopback only', async t => {
  for (const name of ['MINTMARK_PUBLIC_URL', 'MINTMARK_ISSUER']) {
    for (const host of ['localhost', 'localhost:8590', '127.0.0.1', '127.1.2.3:80', '[::1]:8590', 'app.localhost']) t.strictSame(faultyIn({ [name]: `http://${host}` }), [], `${name} ${host}`)
    for (const host of ['tokens.example.com', '10.0.0.1', 'localhost.example.com', '127.0.0.1.example.com', '0.0.0.0', 'mintmark']) {
      t.strictSame(faultyIn({ [name]: `http://${host}` }), [name], `${name} ${host}`)
      t.strictSame(faultyIn({ [name]: `https://${host}` }), [])
      t.strictSame(faultyIn({ [name]: `http://${host}`, MINTMARK_ALLOW_HTTP: 'true' }), [])
    }
    for (const address of ['https://x.example?a=1', 'https://x.example#a', 'https://u:p@x.example', 'x.example', '//x.example', 'javascript:1']) t.strictSame(faultyIn({ [name]: address }), [name], address)
  }
  t.match(readConfig({ MINTMARK_PUBLIC_URL: 'https://tokens.example.com/' }), { publicUrl: 'https://tokens.example.com', issuer: 'https://tokens.example.com' })
})

await t.test('.env in the working directory', async t => {
  const before = process.cwd()
  const folder = temporaryFolder(t)
  process.chdir(folder)
  t.teardown(() => { process.chdir(before) })
  t.equal(configFromProcess().port, 8590, 'none is well')
  writeFileSync('.env', 'MINTMARK_PORT=9001 # mine\nMINTMARK_AUDIENCE="[from-file]"\n')
  process.env.MINTMARK_AUDIENCE = 'from-environment'
  t.teardown(() => { delete process.env.MINTMARK_AUDIENCE })
  t.match(configFromProcess(), { port: 9001, audience: ['from-environment'] }, 'a variable that is already set wins')
  process.env.MINTMARK_AUDIENCE = ''
  t.strictSame(configFromProcess().audience, ['from-file'], 'empty means unset')
})

await t.test('quotes end where they end', t => {
  t.same(readConfig({ MINTMARK_ADMIN_GROUPS: '"a" # say "hi"' }).adminGroups, ['a'])
  t.same(readConfig({ MINTMARK_ADMIN_GROUPS: '"a","b"' }).adminGroups, ['a', 'b'])
  t.end()
})

await t.test('trusted issuers are taken as they are written, and are workloads\'', t => {
  t.same(readConfig({ MINTMARK_TRUSTED_ISSUERS: '[https://one.example/, "https://two.example=keys/two=2.json", kubernetes/serviceaccount=k8s.json, http://localhost:1]' }).trustedIssuers, [
    { issuer: 'https://one.example/', jwksFile: null },
    { issuer: 'https://two.example', jwksFile: 'keys/two=2.json' },
    { issuer: 'kubernetes/serviceaccount', jwksFile: 'k8s.json' },
    { issuer: 'http://localhost:1', jwksFile: null }
  ])
  t.throws(() => readConfig({ MINTMARK_TRUSTED_ISSUERS: 'open-metadata.org=keys.json', RSA_PUBLIC_KEY_FILE_PATH: import.meta.filename, JWT_KEY_ID: 'x' }), { message: /^MINTMARK_TRUSTED_ISSUERS takes.*legacy/ })
  for (const wrong of ['http://elsewhere.example', 'https://user:secret@one.example', 'https://one.example?x', 'one.example']) {
    t.throws(() => readConfig({ MINTMARK_TRUSTED_ISSUERS: wrong }), { message: /^MINTMARK_TRUSTED_ISSUERS takes/ }, wrong)
  }
  t.end()
})

await t.test('a fault in any setting is told by its name, and hides no other', async t => {
  const bad: Record<string, string> = {
    AUTHENTICATION_PROVIDER: 'okta',
    MINTMARK_PORT: '0',
    MINTMARK_TRUSTED_ISSUERS: '[http://x, https://ok]',
    MINTMARK_TRUST_PROXY: '999.1.1.1',
    MINTMARK_FAILED_LOGINS_PER_MINUTE: '-1',
    MINTMARK_WORKERS: 'many',
    MINTMARK_AUDIENCE: '[a',
    MINTMARK_ADMIN_GROUPS: '"a',
    MINTMARK_DATABASE_URL: 'sqlite::memory:',
    MINTMARK_ROTATE_EVERY: 'x',
    MINTMARK_KEY_SIZE: '1024',
    LOG_LEVEL: 'loud',
    MINTMARK_ALLOW_HTTP: 'maybe',
    MINTMARK_PUBLIC_URL: 'here',
    MINTMARK_TOKEN_USE: 'refresh'
  }
  try {
    readConfig(bad)
    t.fail('nothing was refused')
  } catch (error) {
    t.ok(error instanceof SettingsError)
    const names = (error as SettingsError).faults.map(fault => fault.split(' ')[0])
    for (const name of Object.keys(bad)) t.ok(names.includes(name), name)
  }
})
