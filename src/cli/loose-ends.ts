/**
 * What is still loose, though all of it works: the part of `mintmark doctor` that takes the place of a list of security
 * requirements. Looks at settings and files here; what takes the database is handed in.
 */
import { existsSync, realpathSync, statSync } from 'node:fs'
import { dirname, sep } from 'node:path'
import type { Bot } from '../bots/bot.ts'
import type { Config } from '../config.ts'
import { formatDuration } from '../duration.ts'
import { DEMO_MODULUS } from '../keys/demo-key.ts'
import { legacyStateAt, type LegacyKey } from '../keys/legacy-key.ts'
import { isLoopback } from '../loopback.ts'
import { databaseExists } from '../store/database.ts'
import { ADMIN_SCOPE } from '../verify/admins.ts'
import { failed, ok, warn, type Finding } from './finding.ts'

/** Longer than a night's work, a stolen token is the thief's for days. */
const LONG_LIFE_SECONDS = 86_400

/** Only the service's user gets into a folder here. Its files have an access list, which shows as a mode of 0440. */
const SYSTEMD_CREDENTIALS = '/run/credentials/'

export function * aboutSettings (config: Config): Generator<Finding> {
  const { maxTokenTtlSeconds, cognito, adminGroups, adminPrincipals, failedLoginsPerMinute, trustProxy } = config
  if (maxTokenTtlSeconds > LONG_LIFE_SECONDS) yield warn('token life', `tokens may live ${formatDuration(maxTokenTtlSeconds)}`, 'a stolen one is good for as long: lower MINTMARK_MAX_TOKEN_TTL, unless tools need pasted tokens')
  yield * aboutTransport(config)
  if (failedLoginsPerMinute === 0) yield warn('throttle', 'failed logins are not held up', 'set MINTMARK_FAILED_LOGINS_PER_MINUTE, unless a proxy in front does that')
  if (trustProxy?.some(network => network.endsWith('/0'))) yield warn('proxies', 'MINTMARK_TRUST_PROXY names every address', 'whoever is named may claim any address in the throttle and the log: name your proxies')
  if (!cognito) yield ok('user pool', 'none: only bots are known')
  if (!cognito && (adminGroups.length > 0 || adminPrincipals.length > 0)) yield warn('admins', 'admin groups or principals are set, but no user pool', 'set AUTHENTICATION_PROVIDER=aws-cognito, or they mean nobody')
}

function * aboutTransport ({ host, publicUrl }: Config): Generator<Finding> {
  if (!publicUrl.startsWith('http:')) return
  if (!isLoopback(publicUrl)) yield warn('transport', `others reach it by ${publicUrl}`, 'plain http is for this machine and private networks only')
  else if (!isLoopback(host)) yield warn('transport', `it listens on ${host} in plain http`, 'let nobody but a proxy with TLS reach that, and set MINTMARK_PUBLIC_URL to the address of the proxy')
}

export function * aboutMasterKey ({ masterKey, databaseUrl }: Config): Generator<Finding> {
  if (!('file' in masterKey)) {
    yield ok('master key', 'given by setting')
    return
  }
  const { file } = masterKey
  if (!existsSync(file)) {
    yield databaseExists(databaseUrl)
      ? failed('master key', `${file} is not there, but a database is`, 'put it back. If it is lost for good, put a new one there (32 random bytes, base64url), and "key replace-lost"')
      : warn('master key', `${file} is not there`, 'it is made at the first start')
    return
  }
  const { mode } = statSync(file)
  if (file.startsWith(SYSTEMD_CREDENTIALS)) yield ok('master key', `${file}, handed over by systemd: back it up apart from the database`)
  else if ((mode & 0o007) !== 0) yield failed('master key', `${file} can be read by others`, `chmod 600 ${file}`)
  else if ((mode & 0o070) !== 0) yield warn('master key', `${file} can be read by its group`, `chmod 600 ${file}, unless the group is the service's own (fsGroup of Kubernetes)`)
  else yield ok('master key', `${file}, readable by its owner only: back it up apart from the database`)
  if (areTogether(file, databaseUrl)) yield warn('master key', `${file} lies beside the database`, 'a backup of that folder holds both, and forges tokens: move the key, and set MINTMARK_MASTER_KEY_FILE')
}

/** Whether a backup of the folder of one would hold the other. Two folders side by side are what the settings have by default. */
function areTogether (masterKeyFile: string, databaseUrl: string): boolean {
  const database = databaseUrl.replace(/^sqlite:/, '')
  if (database === databaseUrl || !existsSync(dirname(database))) return false
  const keyFolder = realpathSync(dirname(masterKeyFile)) + sep
  const dataFolder = realpathSync(dirname(database)) + sep
  return keyFolder.startsWith(dataFolder) || dataFolder.startsWith(keyFolder)
}

/** Who they are: a bare name that is left over from a guide may mean nobody. */
export function * aboutAdmins ({ issuer, cognito, adminGroups, adminPrincipals, principalDomain }: Config, bots: readonly Bot[]): Generator<Finding> {
  const withScope = bots.filter(bot => bot.scopes.includes(ADMIN_SCOPE))
  const stray = withScope.filter(bot => !bot.audiences.includes(issuer)).map(({ name }) => name)
  const admins = [
    ...withScope.filter(bot => bot.enabled && bot.audiences.includes(issuer)).map(({ name }) => `bot ${name}`),
    ...(cognito ? [...adminGroups.map(group => `group ${group}`), ...adminPrincipals.map(entry => entry.includes('@') ? entry : `${entry}@${principalDomain}, or that sub`)] : [])
  ]
  yield admins.length > 0 ? ok('admins', admins.join('; ')) : warn('admins', 'nobody is admin', 'mintmark bot create NAME --admin --secret, or set MINTMARK_ADMIN_GROUPS')
  if (stray.length > 0) yield warn('admins', `${stray.join(', ')}: scope admin, but our issuer ${issuer} is not among the audiences`, 'was the bot made under another MINTMARK_PUBLIC_URL? Change its audiences: mintmark export, then mintmark apply')
}

/** OpenMetadata's guide asks for two things before production. What became of them here. */
export function * aboutDefaults (bots: readonly Bot[], legacyKeys: readonly LegacyKey[], now: Date): Generator<Finding> {
  yield ok('default admin', 'there is none to delete: nobody is admin here who was not made one')
  const shipped = legacyKeys.find(key => key.publicKey.n === DEMO_MODULUS && legacyStateAt(key, now) === 'retired')
  if (shipped) yield failed('default keys', `tokens of the key pair that OpenMetadata ships are good here (${shipped.kid}): everybody has its private half`, `mintmark key revoke ${shipped.kid} --reason 'shipped with OpenMetadata'`)
  else yield ok('default keys', 'there are none to replace: no key comes with the software')
  const longLived = bots.filter(bot => (bot.tokenTtlSeconds ?? 0) > LONG_LIFE_SECONDS).map(({ name, tokenTtlSeconds }) => `${name} (${formatDuration(tokenTtlSeconds ?? 0)})`)
  if (longLived.length > 0) yield warn('token life', `tokens of ${longLived.join(', ')} live for more than a day`, 'a stolen one is good for as long: let their pipelines fetch a token for each run')
}
