/**
 * Environment → frozen Config. The only reader of `process.env`, and of the `.env` file beside it.
 * It owns what one setting alone cannot say: files behind secrets, and inequalities between settings.
 */
import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { formatDuration } from './duration.ts'
import { isLoopback } from './loopback.ts'
import { isSetting, SETTINGS, tidy, warningsAbout, type Settings, type TrustedIssuerSetting } from './settings.ts'

export type Environment = Record<string, string | undefined>

export interface LegacyKeySetting {
  readonly publicKey?: Buffer
  readonly privateKey?: Buffer
  readonly kid: string
  readonly issuer: string
}

export interface CognitoPool {
  /** The issuer as the settings name it, without a trailing slash. */
  authority: string
  jwksUri: string
}

export interface Config {
  readonly host: string
  readonly port: number
  readonly publicUrl: string
  readonly issuer: string
  readonly audience: readonly string[]
  readonly databaseUrl: string
  readonly masterKey: { readonly keys: readonly Buffer[] } | { readonly file: string }
  readonly keySize: number
  readonly rotateEverySeconds: number
  readonly publishAheadSeconds: number
  readonly jwksMaxAgeSeconds: number
  readonly tokenTtlSeconds: number
  readonly maxTokenTtlSeconds: number
  readonly tokenTyp: 'at+jwt' | 'JWT'
  readonly clockToleranceSeconds: number
  readonly maxStalenessSeconds: number
  readonly failedLoginsPerMinute: number
  readonly workers: number
  readonly allowDemoKeys: boolean
  /** The key of an OpenMetadata server, as its settings name it; `null`: none is named. */
  readonly legacyKey: LegacyKeySetting | null
  readonly trustedIssuers: readonly TrustedIssuerSetting[]
  /** `null`: no proxy is trusted. */
  readonly trustProxy: readonly string[] | null
  readonly principalDomain: string
  readonly enforcePrincipalDomain: boolean
  readonly principalClaims: readonly string[]
  readonly adminPrincipals: readonly string[]
  readonly adminGroups: readonly string[]
  readonly tokenUse: ReadonlyArray<'access' | 'id'>
  /** `null`: no provider, bots only. */
  readonly cognito: { readonly pools: readonly CognitoPool[], readonly clientIds: readonly string[] } | null
  readonly logLevel: string
  /** Sentences that an operator should read at each start. */
  readonly warnings: readonly string[]
}

/** Every fault of the settings, one line each, the variable's name first. */
export class SettingsError extends Error {
  readonly faults: readonly string[]

  constructor (faults: readonly string[]) {
    super(faults.join('\n'))
    this.name = 'SettingsError'
    this.faults = faults
  }
}

/** Reads the settings of this process. Throws {@link SettingsError}. */
export function configFromProcess (): Config {
  return readConfig(environmentOfProcess())
}

/** The environment of this process, and where it is silent `.env` in the working directory. Throws {@link SettingsError}. */
export function environmentOfProcess (): Environment {
  const set = Object.fromEntries(Object.entries(process.env).filter(([, value]) => tidy(value) !== undefined))
  return { ...readDotEnv('.env'), ...set }
}

/** What a program inherits that is started here: everything but our secrets. */
export function environmentForOthers (): Environment {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !(isSetting(name) && 'secret' in SETTINGS[name])))
}

/** Reads settings from `environment`. Throws {@link SettingsError} with all faults at once. */
export function readConfig (environment: Environment): Config {
  const faults: string[] = []
  const settings = readSettings(withSecretFiles(environment, faults), faults)
  faults.push(...faultsBetween(settings))
  const databaseUrl = settings.MINTMARK_DATABASE_URL as string | undefined // a setting with a fault has no value
  if (databaseUrl?.startsWith('postgres') && settings.MINTMARK_MASTER_KEY === undefined && tidy(environment.MINTMARK_MASTER_KEY_FILE) === undefined) {
    faults.push('MINTMARK_MASTER_KEY takes 32 random bytes as base64url, and is required with PostgreSQL: all replicas need the same')
  }
  const cognito = readCognito(settings, faults)
  const legacyKey = readLegacyKey(settings, faults)
  if (faults.length > 0) throw new SettingsError(faults)
  return deepFreeze(assemble(settings, cognito, legacyKey, environment))
}

function readDotEnv (file: string): Environment {
  try {
    return parseEnv(readFileSync(file, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new SettingsError([`.env cannot be read: ${(error as Error).message}`])
  }
}

/** `NAME_FILE=/run/secrets/x` stands for `NAME`. The master key's file is read later: it may have to be made first. */
function withSecretFiles (environment: Environment, faults: string[]): Environment {
  const result = { ...environment }
  for (const name of Object.keys(SETTINGS)) {
    const file = tidy(environment[`${name}_FILE`])
    if (file === undefined) continue
    if (tidy(environment[name]) !== undefined) faults.push(`${name} and ${name}_FILE are both set: keep one of them`)
    else if (name !== 'MINTMARK_MASTER_KEY') result[name] = readSecretFile(name, file, faults)
  }
  return result
}

function readSecretFile (name: string, file: string, faults: string[]): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    faults.push(`${name}_FILE takes a readable file: ${(error as Error).message}`)
    return undefined
  }
}

function readSettings (environment: Environment, faults: string[]): Settings {
  const values: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(SETTINGS)) {
    const text = tidy(environment[name]) ?? setting.fallback
    if (text === null) continue
    const off = name.startsWith('AUTHENTICATION_') && name !== 'AUTHENTICATION_PROVIDER' && tidy(environment.AUTHENTICATION_PROVIDER) === undefined
    const value = setting.parse(off ? setting.fallback ?? '' : text)
    if (value === undefined && !off) faults.push(`${name} takes ${setting.takes}${'secret' in setting ? '' : `, not "${shown(text)}"`}`)
    values[name] = value
  }
  return values as Settings
}

function * faultsBetween (settings: Settings): Generator<string> {
  const {
    MINTMARK_PUBLISH_AHEAD: ahead, MINTMARK_JWKS_MAX_AGE: maxAge, MINTMARK_CLOCK_TOLERANCE: tolerance,
    MINTMARK_ROTATE_EVERY: rotate, MINTMARK_TOKEN_TTL: ttl, MINTMARK_MAX_TOKEN_TTL: maxTtl
  } = settings
  if (ahead < 3 * maxAge + tolerance) {
    yield `MINTMARK_PUBLISH_AHEAD takes at least 3 × MINTMARK_JWKS_MAX_AGE + MINTMARK_CLOCK_TOLERANCE = ${formatDuration(3 * maxAge + tolerance)}, not ${formatDuration(ahead)}: verifiers must hold a key before it signs`
  }
  if (ahead >= rotate) yield `MINTMARK_PUBLISH_AHEAD takes less than MINTMARK_ROTATE_EVERY (${formatDuration(rotate)}), not ${formatDuration(ahead)}`
  if (ttl > maxTtl) yield `MINTMARK_TOKEN_TTL takes at most MINTMARK_MAX_TOKEN_TTL (${formatDuration(maxTtl)}), not ${formatDuration(ttl)}`
  if (settings.MINTMARK_ALLOW_DEMO_KEYS && !(isLoopback(settings.MINTMARK_HOST) && isLoopback(publicUrlOf(settings)))) {
    yield 'MINTMARK_ALLOW_DEMO_KEYS takes true only while MINTMARK_HOST and MINTMARK_PUBLIC_URL are loopback: whoever has the demo keys is any bot'
  }
  yield * faultsOfTrustedIssuers(settings)
  for (const name of ['MINTMARK_PUBLIC_URL', 'MINTMARK_ISSUER'] as const) {
    const address = settings[name]
    if (address?.startsWith('http:') && !isLoopback(address) && !settings.MINTMARK_ALLOW_HTTP) {
      yield `${name} takes an https address (http on loopback only, or anywhere with MINTMARK_ALLOW_HTTP=true), not "${shown(address)}"`
    }
  }
}

/** People sign in at user pools, and legacy tokens last for ever: neither may become a bot's token. */
function * faultsOfTrustedIssuers (settings: Settings): Generator<string> {
  // A setting with a fault of its own has no value here.
  const issuers = ((settings.MINTMARK_TRUSTED_ISSUERS as Settings['MINTMARK_TRUSTED_ISSUERS'] | undefined) ?? []).map(({ issuer }) => issuer)
  for (const issuer of issuers) {
    const address = issuer.replace(/\/+$/, '')
    const ofPool = USER_POOL.test(address) || settings.AUTHENTICATION_AUTHORITY?.some(authority => regional(authority) === regional(address))
    if (address === issuerOf(settings) || ofPool) yield `MINTMARK_TRUSTED_ISSUERS takes workload issuers, not ours nor a user pool's (${issuer})`
    if (settings.RSA_PUBLIC_KEY_FILE_PATH !== undefined && issuer === settings.JWT_ISSUER) yield `MINTMARK_TRUSTED_ISSUERS takes workload issuers, not that of a legacy key (JWT_ISSUER, ${issuer})`
  }
  for (const issuer of new Set(issuers.filter((issuer, place) => issuers.indexOf(issuer) < place))) yield `MINTMARK_TRUSTED_ISSUERS takes each issuer once, not ${issuer} twice`
}

const USER_POOL = /^https:\/\/(?:issuer-)?cognito-idp\.[^/]+\//

function readCognito (settings: Settings, faults: string[]): Config['cognito'] {
  if (settings.AUTHENTICATION_PROVIDER === undefined) return null
  const required = ['AUTHENTICATION_AUTHORITY', 'AUTHENTICATION_CLIENT_ID'] as const
  for (const name of required) {
    if (settings[name] === undefined && !faults.some(fault => fault.startsWith(name))) faults.push(`${name} takes ${SETTINGS[name].takes}, and is required with AUTHENTICATION_PROVIDER=aws-cognito`)
  }
  const authorities = settings.AUTHENTICATION_AUTHORITY ?? []
  for (const authority of authorities) {
    if (authority.startsWith('http:') && !isLoopback(authority)) faults.push(`AUTHENTICATION_AUTHORITY takes https addresses (http on loopback only), not "${authority}"`)
    if (authority === issuerOf(settings)) faults.push(`AUTHENTICATION_AUTHORITY takes the user pool's issuer, not our own (${authority})`)
  }
  const jwksUris = jwksUriByAuthority(settings.AUTHENTICATION_PUBLIC_KEYS ?? [], authorities, faults)
  const pools = authorities.map(authority => ({ authority, jwksUri: jwksUris.get(authority) ?? `${authority}/.well-known/jwks.json` }))
  return { pools, clientIds: settings.AUTHENTICATION_CLIENT_ID ?? [] }
}

function jwksUriByAuthority (addresses: readonly string[], authorities: readonly string[], faults: string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const address of addresses) {
    const [authority] = authorities.filter(candidate => regional(address).startsWith(`${regional(candidate)}/`)).sort((a, b) => b.length - a.length)
    if (authority) found.set(authority, address)
    else if (!address.endsWith('/api/v1/system/config/jwks')) {
      faults.push(`AUTHENTICATION_PUBLIC_KEYS takes JWKS addresses below an AUTHENTICATION_AUTHORITY, or our own: no issuer is bound to "${address}"`)
    }
  }
  return found
}

/** A file that is named and not there is a fault; without the settings there is nothing to import. */
function readLegacyKey (settings: Settings, faults: string[]): LegacyKeySetting | null {
  const publicKey = readKeyFile('RSA_PUBLIC_KEY_FILE_PATH', settings, faults)
  const privateKey = readKeyFile('RSA_PRIVATE_KEY_FILE_PATH', settings, faults)
  if (!publicKey && !privateKey) return null
  const kid = settings.JWT_KEY_ID
  if (kid === undefined) {
    faults.push('JWT_KEY_ID takes the kid of the tokens that the key of RSA_PUBLIC_KEY_FILE_PATH signed, and is required with it')
    return null
  }
  return { kid, issuer: settings.JWT_ISSUER, ...(publicKey && { publicKey }), ...(privateKey && { privateKey }) }
}

function readKeyFile (name: 'RSA_PUBLIC_KEY_FILE_PATH' | 'RSA_PRIVATE_KEY_FILE_PATH', settings: Settings, faults: string[]): Buffer | undefined {
  const file = settings[name]
  if (file === undefined) return undefined
  try {
    return readFileSync(file)
  } catch (error) {
    faults.push(`${name} takes a readable file: ${(error as Error).message}`)
    return undefined
  }
}

/** Cognito names a pool in two forms; this is one of them. */
const regional = (address: string): string => address.replace('https://issuer-cognito-idp.', 'https://cognito-idp.')

const publicUrlOf = (settings: Settings): string => settings.MINTMARK_PUBLIC_URL ?? `http://localhost:${settings.MINTMARK_PORT}`
const issuerOf = (settings: Settings): string => settings.MINTMARK_ISSUER ?? publicUrlOf(settings)

function assemble (settings: Settings, cognito: Config['cognito'], legacyKey: Config['legacyKey'], environment: Environment): Config {
  return {
    host: settings.MINTMARK_HOST,
    port: settings.MINTMARK_PORT,
    publicUrl: publicUrlOf(settings),
    issuer: issuerOf(settings),
    audience: settings.MINTMARK_AUDIENCE,
    databaseUrl: settings.MINTMARK_DATABASE_URL,
    masterKey: settings.MINTMARK_MASTER_KEY
      ? { keys: settings.MINTMARK_MASTER_KEY }
      : { file: tidy(environment.MINTMARK_MASTER_KEY_FILE) ?? 'keys/master.key' },
    keySize: settings.MINTMARK_KEY_SIZE,
    rotateEverySeconds: settings.MINTMARK_ROTATE_EVERY,
    publishAheadSeconds: settings.MINTMARK_PUBLISH_AHEAD,
    jwksMaxAgeSeconds: settings.MINTMARK_JWKS_MAX_AGE,
    tokenTtlSeconds: settings.MINTMARK_TOKEN_TTL,
    maxTokenTtlSeconds: settings.MINTMARK_MAX_TOKEN_TTL,
    tokenTyp: settings.MINTMARK_TOKEN_TYP,
    clockToleranceSeconds: settings.MINTMARK_CLOCK_TOLERANCE,
    maxStalenessSeconds: settings.MINTMARK_MAX_STALENESS,
    failedLoginsPerMinute: settings.MINTMARK_FAILED_LOGINS_PER_MINUTE,
    workers: settings.MINTMARK_WORKERS,
    allowDemoKeys: settings.MINTMARK_ALLOW_DEMO_KEYS,
    legacyKey,
    trustedIssuers: settings.MINTMARK_TRUSTED_ISSUERS,
    trustProxy: settings.MINTMARK_TRUST_PROXY ?? null,
    principalDomain: settings.AUTHORIZER_PRINCIPAL_DOMAIN,
    enforcePrincipalDomain: settings.AUTHORIZER_ENFORCE_PRINCIPAL_DOMAIN,
    principalClaims: settings.AUTHENTICATION_JWT_PRINCIPAL_CLAIMS,
    adminPrincipals: settings.AUTHORIZER_ADMIN_PRINCIPALS,
    adminGroups: settings.MINTMARK_ADMIN_GROUPS,
    tokenUse: settings.MINTMARK_TOKEN_USE,
    cognito,
    logLevel: settings.LOG_LEVEL,
    warnings: [...warningsAbout(settings, environment)]
  }
}

/** For what Node itself, and the processes that it starts, read from the environment: whatever the operator has set there stays. */
export function setDefault (name: string, value: string): void {
  process.env[name] ??= value
}

/** A value in a fault: on one line, and without the password that an address may hold. */
function shown (text: string): string {
  return text.replace(/\/\/[^/@]*@/g, '//…@').replace(/\s+/g, ' ').slice(0, 200)
}

function deepFreeze<T extends object> (value: T): T {
  for (const inner of Object.values(value) as unknown[]) {
    if (typeof inner === 'object' && inner !== null && !ArrayBuffer.isView(inner)) deepFreeze(inner)
  }
  return Object.freeze(value)
}
