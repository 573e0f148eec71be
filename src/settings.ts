/**
 * The one table of settings. Types, defaults, `.env.example` and the README's table derive from it;
 * `config.ts` reads the environment through it. Names that OpenMetadata's guides use mean here what they mean there.
 */
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { DURATION_FORM, parseDuration } from './duration.ts'
import { isLoopback } from './loopback.ts'

export interface Setting<T> {
  /** What the setting takes, for faults and documentation: "a port, 1 to 65535". */
  takes: string
  /** The default, as one would write it; `null`: unset. */
  fallback: string | null
  /** How the documentation shows the default, where `fallback` does not say it. */
  fallbackShown?: string
  meaning: string
  /** A secret's value is never repeated in a fault. */
  secret?: true
  /** @returns the value, or `undefined` if `text` is not what the setting takes */
  parse: (text: string) => T | undefined
}

type Meaning<F extends string | null> = { fallback: F, meaning: string, fallbackShown?: string, secret?: true }
type Made<T, F> = Setting<T> & { fallback: F }

const kind = <T>(takes: string, parse: (text: string) => T | undefined) =>
  <F extends string | null>(rest: Meaning<F>): Made<T, F> => ({ takes, parse, ...rest })

const port = kind('a port, 1 to 65535', value => integerBetween(value, 1, 65_535))
const flag = kind('true or false', value => ({ true: true, false: false })[value.toLowerCase()])
const list = kind<string[]>('a list: [a, b], a,b or JSON', parseList)
const nonEmptyList = kind('a list with at least one entry: [a, b], a,b or JSON', value => nonEmpty(parseList(value)))
const domain = kind('a domain name', value => /^[a-z0-9.-]+$/i.test(value) ? value.toLowerCase() : undefined)
const duration = kind(`${DURATION_FORM}, from 1s up`, value => parseDuration(value) ?? undefined)
const tolerance = kind(`${DURATION_FORM}, from 0s up`, value => parseDuration(value, 0) ?? undefined)
const url = kind('an http or https address without query or fragment', parseUrl)
const urls = kind('a list of http or https addresses', value => everyOrNone(parseList(value), parseUrl))
const nonEmptyUrls = kind('a list with at least one http or https address', value => nonEmpty(everyOrNone(parseList(value), parseUrl)))
const address = kind('a host name or an IP address', value => /^[\w.:-]+$/.test(value) ? value : undefined)
const path = kind('a path', value => value)
const word = kind('text', value => value)
const workers = kind('a number of processes from 1 to 256, or auto', value => value === 'auto' ? availableParallelism() : integerBetween(value, 1, 256))
const count = kind('a whole number from 0 up', value => integerBetween(value, 0, 1_000_000))
const proxies = kind('a list of IP addresses and networks, such as 127.0.0.1, 10.0.0.0/8', value => nonEmpty(everyOrNone(parseList(value), parseNetwork)))
const trustedIssuers = kind('a list of https://issuer (http on loopback only) and issuer=FILE', value => everyOrNone(parseList(value), parseTrustedIssuer))
const oneOf = <T extends string>(...words: T[]) =>
  kind(words.join(' or '), value => words.find(word => word === value))
const someOf = <T extends string>(...words: T[]) =>
  kind(`a list of ${words.join(', ')}`, value => nonEmpty(everyOrNone(parseList(value), item => words.find(word => word === item))))
const integerOf = (...numbers: number[]) =>
  kind(numbers.join(', '), value => numbers.find(number => String(number) === value))
const logLevel = kind('fatal, error, warn, info, debug, trace or silent',
  value => ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].find(level => level === value.toLowerCase()))
const database = kind('sqlite:PATH or postgres://…', value => /^(?:sqlite:(?!:).+|postgres(?:ql)?:\/\/.+)$/.test(value) ? value : undefined)
const masterKeys = kind('32 random bytes as base64url, or a list of such keys: the first seals, all open',
  value => nonEmpty(everyOrNone(parseList(value), parseMasterKey)))

export const SETTINGS = {
  AUTHENTICATION_PROVIDER: oneOf('aws-cognito')({ fallback: null, meaning: '`aws-cognito` turns Cognito users on; unset: bots only' }),
  AUTHENTICATION_AUTHORITY: nonEmptyUrls({ fallback: null, meaning: 'issuer of the user pool, `https://cognito-idp.<region>.amazonaws.com/<poolId>`, or a list of them; required with a provider' }),
  AUTHENTICATION_CLIENT_ID: nonEmptyList({ fallback: null, meaning: 'app client id, or a list; required with a provider' }),
  AUTHENTICATION_PUBLIC_KEYS: urls({ fallback: null, meaning: 'JWKS addresses: one that begins with an authority is that authority\'s, our own is never fetched, any other is refused' }),
  AUTHENTICATION_CALLBACK_URL: url({ fallback: 'http://localhost:8585/callback', meaning: 'redirect address of the metadata API\'s browser sign-in; the service itself does not use it' }),
  AUTHENTICATION_JWT_PRINCIPAL_CLAIMS: nonEmptyList({ fallback: '[email,preferred_username,sub]', meaning: 'claims that a user\'s name is taken from, the first present one' }),
  AUTHORIZER_ADMIN_PRINCIPALS: list({ fallback: '[]', meaning: 'users who are admins: a `sub`, an e-mail address, or a bare name for `<name>@<principal domain>`' }),
  AUTHORIZER_PRINCIPAL_DOMAIN: domain({ fallback: 'open-metadata.org', meaning: 'e-mail domain of bots, and of users that a bare admin name means' }),
  AUTHORIZER_ENFORCE_PRINCIPAL_DOMAIN: flag({ fallback: 'false', meaning: 'refuse users without a verified e-mail address of that domain' }),

  RSA_PUBLIC_KEY_FILE_PATH: path({ fallback: null, meaning: 'public key of an OpenMetadata server (DER or PEM): its bot tokens verify for 90 days more; imported once' }),
  RSA_PRIVATE_KEY_FILE_PATH: path({ fallback: null, meaning: 'its private key, to compare; never kept' }),
  JWT_KEY_ID: word({ fallback: null, meaning: '`kid` of the tokens that it signed' }),
  JWT_ISSUER: word({ fallback: 'open-metadata.org', meaning: '`iss` of the tokens that it signed' }),

  MINTMARK_HOST: address({ fallback: '127.0.0.1', meaning: 'address to listen on' }),
  MINTMARK_PORT: port({ fallback: '8590', meaning: 'port to listen on' }),
  MINTMARK_PUBLIC_URL: url({ fallback: null, fallbackShown: 'http://localhost:<port>', meaning: 'address that others reach the service by; https unless loopback or `MINTMARK_ALLOW_HTTP`' }),
  MINTMARK_ALLOW_HTTP: flag({ fallback: 'false', meaning: 'plain http on a private network; warned of at each start' }),
  MINTMARK_ISSUER: url({ fallback: null, fallbackShown: 'the public url', meaning: '`iss` of our bot tokens' }),
  MINTMARK_AUDIENCE: nonEmptyList({ fallback: 'metadata-api', meaning: '`aud` that a new bot gets and that the verifier expects, or a list' }),
  MINTMARK_DATABASE_URL: database({ fallback: 'sqlite:data/mintmark.db', secret: true, meaning: 'where keys and bots are kept; `postgres://…` for several replicas' }),
  MINTMARK_MASTER_KEY: masterKeys({ fallback: null, fallbackShown: 'file keys/master.key', secret: true, meaning: 'seals private keys at rest; made at the first start if there is neither the file nor a database; with PostgreSQL it must be given' }),
  MINTMARK_KEY_SIZE: integerOf(2048, 3072, 4096)({ fallback: '2048', meaning: 'RSA modulus of new keys, in bits' }),
  MINTMARK_ROTATE_EVERY: duration({ fallback: '30d', meaning: 'how long a key signs' }),
  MINTMARK_PUBLISH_AHEAD: duration({ fallback: '24h', meaning: 'a key is published at least this long before it signs: ≥ 3 × JWKS max-age + clock tolerance, < rotate-every' }),
  MINTMARK_JWKS_MAX_AGE: duration({ fallback: '5m', meaning: '`Cache-Control` of the JWKS' }),
  MINTMARK_TOKEN_TTL: duration({ fallback: '1h', meaning: 'life of a token, unless its bot has another' }),
  MINTMARK_MAX_TOKEN_TTL: duration({ fallback: '24h', meaning: 'longest life that a token can have' }),
  MINTMARK_TOKEN_TYP: oneOf('at+jwt', 'JWT')({ fallback: 'at+jwt', meaning: '`typ` of our tokens\' header; `JWT` for consumers that insist on it' }),
  MINTMARK_ADMIN_GROUPS: list({ fallback: '[]', meaning: 'Cognito groups whose members are admins' }),
  MINTMARK_TOKEN_USE: someOf('access', 'id')({ fallback: '[access,id]', meaning: 'Cognito token kinds that are accepted' }),
  MINTMARK_FAILED_LOGINS_PER_MINUTE: count({ fallback: '30', meaning: 'failed client authentications, for each client id from each address; `0`: no limit' }),
  MINTMARK_TRUSTED_ISSUERS: trustedIssuers({ fallback: '[]', meaning: 'workload issuers that token exchange may be set up for: `https://issuer` (discovery) or `issuer=FILE` (a JWKS file)' }),
  MINTMARK_ALLOW_DEMO_KEYS: flag({ fallback: 'false', meaning: 'accept the key pair that OpenMetadata ships, whose private half is public; only while host and public url are loopback' }),
  MINTMARK_WORKERS: workers({ fallback: '1', meaning: 'processes on this machine; `auto`: one a core' }),
  MINTMARK_TRUST_PROXY: proxies({ fallback: null, meaning: 'proxies whose `X-Forwarded-*` are believed: addresses or networks' }),
  MINTMARK_CLOCK_TOLERANCE: tolerance({ fallback: '5s', meaning: 'how far clocks may differ' }),
  MINTMARK_MAX_STALENESS: duration({ fallback: '5m', meaning: 'how long the service keeps minting and verifying while the database is away' }),
  MINTMARK_URL: url({ fallback: null, meaning: 'address of the service, for `mintmark token` and `mintmark agent`' }),
  MINTMARK_CLIENT_ID: word({ fallback: null, meaning: 'the bot that they fetch tokens for' }),
  MINTMARK_CLIENT_SECRET: word({ fallback: null, secret: true, meaning: 'its client secret; as `MINTMARK_CLIENT_SECRET_FILE` it may change while the agent runs' }),
  LOG_LEVEL: logLevel({ fallback: 'info', meaning: 'pino level; JSON lines on stdout, pretty on a terminal' })
}

export type SettingName = keyof typeof SETTINGS
export type Settings = {
  readonly [N in SettingName]: (typeof SETTINGS)[N] extends Made<infer T, infer F> ? (F extends string ? T : T | undefined) : never
}

/**
 * What is left of a value after what env files drag along: blanks, a comment after it, quotes around it.
 * @returns `undefined` for an empty value, which means unset
 */
export function tidy (raw: string | undefined): string | undefined {
  const value = raw?.trim() ?? ''
  const quoted = /^(["'])((?:(?!\1).)*)\1\s*(?:#.*)?$/s.exec(value)
  const bare = quoted?.[2] ?? value.replace(/(?:^|\s+)#.*$/s, '')
  return bare.trim() === '' ? undefined : bare.trim()
}

function parseList (value: string): string[] | undefined {
  try {
    const parsed: unknown = JSON.parse(value)
    if (Array.isArray(parsed)) return everyOrNone(parsed, item => typeof item === 'string' && item !== '' ? item : undefined)
  } catch { /* not JSON: the guides write lists without quotes */ }
  const items = value.replace(/^\[(.*)\]$/s, '$1').split(',').map(item => item.trim().replace(/^(["'])(.*)\1$/, '$2'))
  if (items.length === 1 && items[0] === '') return []
  return items.every(item => item !== '' && !/["[\]]/.test(item)) ? items : undefined
}

function everyOrNone<I, T> (items: readonly I[] | undefined, parse: (item: I) => T | undefined): T[] | undefined {
  const parsed = items?.map(parse)
  return parsed?.every(item => item !== undefined) ? parsed : undefined
}

function nonEmpty<T> (items: T[] | undefined): T[] | undefined {
  return items && items.length > 0 ? items : undefined
}

function integerBetween (value: string, lowest: number, highest: number): number | undefined {
  const number = /^\d+$/.test(value) ? Number(value) : NaN
  return number >= lowest && number <= highest ? number : undefined
}

function parseUrl (value: string): string | undefined {
  const parsed = URL.parse(value)
  const plain = parsed && ['http:', 'https:'].includes(parsed.protocol) && !value.includes('?') && !value.includes('#')
  return plain && parsed.username === '' && parsed.password === '' ? value.replace(/\/+$/, '') : undefined
}

function parseNetwork (value: string): string | undefined {
  const [address = '', prefix, ...rest] = value.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0) return undefined
  return prefix === undefined || integerBetween(prefix, 0, version === 4 ? 32 : 128) !== undefined ? value : undefined
}

export interface TrustedIssuerSetting {
  readonly issuer: string
  /** Its keys, where it cannot be reached; `null`: by discovery. */
  readonly jwksFile: string | null
}

function parseTrustedIssuer (value: string): TrustedIssuerSetting | undefined {
  const [, issuer, jwksFile] = /^([^=]+)=(.+)$/.exec(value) ?? []
  if (issuer !== undefined && jwksFile !== undefined) return { issuer, jwksFile }
  const url = parseUrl(value)
  // As it is written: an issuer may end in a slash, and then its tokens say so.
  return url?.startsWith('https:') || (url !== undefined && isLoopback(url)) ? { issuer: value, jwksFile: null } : undefined
}

function parseMasterKey (value: string): Buffer | undefined {
  const bytes = Buffer.from(value, 'base64url')
  return bytes.length === 32 && bytes.toString('base64url') === value.replace(/=+$/, '') ? bytes : undefined
}

export const isSetting = (name: string): name is SettingName => Object.hasOwn(SETTINGS, name)

/** What is allowed, and still nobody should be surprised by. */
export function * warningsAbout (settings: Settings, environment: Readonly<Record<string, string | undefined>>): Generator<string> {
  if (settings.MINTMARK_ALLOW_DEMO_KEYS) yield 'MINTMARK_ALLOW_DEMO_KEYS is on: whoever has the key pair that OpenMetadata ships is any legacy bot here'
  if (settings.MINTMARK_ALLOW_HTTP) yield 'MINTMARK_ALLOW_HTTP is on: tokens and secrets travel in the clear; keep this to a private network'
  if (settings.AUTHENTICATION_PROVIDER === undefined) {
    const ignored = Object.keys(SETTINGS).filter(name => name.startsWith('AUTHENTICATION_') && tidy(environment[name]) !== undefined)
    if (ignored.length > 0) yield `${ignored.join(', ')} ignored: AUTHENTICATION_PROVIDER is unset, so only bots are known`
  }
  for (const name of Object.keys(environment)) {
    if (name.startsWith('MINTMARK_') && !isSetting(name.replace(/_FILE$/, ''))) yield `${name} is not a setting of mintmark; see .env.example for those that are`
  }
}
