/** `mintmark doctor`: looks at what an operator would look at, and says what to mend. */
import type { Command } from 'commander'
import { configFromProcess, SettingsError, type Config } from '../config.ts'
import { NEAR_SECONDS } from '../bots/expiring-secrets.ts'
import type { StoredSecret } from '../bots/bot.ts'
import { addSeconds, pendingKeysAt } from '../keys/signing-key.ts'
import { openParts, reasonsNotReady, type Parts } from '../parts.ts'
import { databaseExists } from '../store/database.ts'
import { createLog } from '../telemetry/log.ts'
import { workloadKeys, type WorkloadIssuer } from '../workloads/workload-tokens.ts'
import { allBots } from './bots.ts'
import { failed, ok, warn, type Finding } from './finding.ts'
import { aboutAdmins, aboutDefaults, aboutMasterKey, aboutSettings } from './loose-ends.ts'
import { print, subcommand, table, type OutputOptions } from './output.ts'

const MARKS = { ok: 'ok', warning: 'WARN', failed: 'FAIL' } as const

export function addDoctorCommand (program: Command): void {
  subcommand(program, 'doctor', 'check settings, database, keys, clock and user pools; exit 1 if something fails')
    .action(async (options: OutputOptions) => {
      const findings = await examine()
      const healthy = findings.every(({ outcome }) => outcome !== 'failed')
      const rows = findings.map(({ check, outcome, found, advice }) => [MARKS[outcome], check, advice === undefined ? found : `${found} → ${advice}`])
      print(options, { healthy, findings }, table(rows))
      if (!healthy) process.exitCode = 1
    })
}

async function examine (): Promise<Finding[]> {
  let config: Config
  try {
    config = configFromProcess()
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    return error.faults.map(fault => failed('settings', fault, 'correct it in the environment or in .env'))
  }
  const findings = [ok('settings', 'all can be read'), ...config.warnings.map(warning => warn('settings', warning, 'see .env.example')), ...aboutSettings(config), ...aboutMasterKey(config)]
  return [...findings, ...await aboutDatabase(config), ...await Promise.all([...(config.cognito?.pools ?? []).map(aboutPool), ...config.trustedIssuers.map(aboutWorkloadIssuer)])]
}

async function aboutDatabase (config: Config): Promise<Finding[]> {
  if (!databaseExists(config.databaseUrl)) return [warn('database', `${withoutPassword(config.databaseUrl)} is not there`, 'it is made at the first start; if there was one, see MINTMARK_DATABASE_URL')]
  try {
    // It looks, and leaves the keys alone: whoever calls it may have other settings than the service.
    const parts = await openParts(config, createLog('silent', process.stderr), { keys: 'as they are' })
    try {
      return [ok('database', `${withoutPassword(config.databaseUrl)} answers, and the master key opens its keys`), ...await aboutParts(parts)]
    } finally {
      await parts.close()
    }
  } catch (error) {
    return [failed('database', (error as Error).message, 'see MINTMARK_DATABASE_URL and MINTMARK_MASTER_KEY')]
  }
}

async function aboutParts (parts: Parts): Promise<Finding[]> {
  const { ring, legacyRing, clock, config } = parts
  const known = await allBots(parts)
  return [
    ...ring.all().length === 0 ? [warn('keys', 'there are none yet', 'they are made at the first start')] : aboutKeys(parts),
    ...aboutSecrets(await parts.secrets.listExpiring(clock(), addSeconds(clock(), NEAR_SECONDS)), clock()),
    aboutClock(ring.all().map(key => key.publishedAt), clock()),
    ...aboutAdmins(config, known),
    ...aboutDefaults(known, legacyRing.all(), clock())
  ]
}

function aboutKeys (parts: Parts): Finding[] {
  const { ring, clock } = parts
  const next = pendingKeysAt(ring.all(), clock())[0]
  return [
    ...reasonsNotReady(parts).map(reason => failed('keys', reason, 'a service that runs mends it within 30 seconds, if the database can be written; else look at "key list"')),
    ok('keys', `${ring.signing()?.kid ?? 'none'} signs until ${next?.signsFrom.toISOString() ?? 'further notice'}`)
  ]
}

/** Used within a day: whoever does so will be turned away when it is over. */
function aboutSecrets (expiring: readonly StoredSecret[], now: Date): Finding[] {
  const inUse = expiring.filter(({ lastUsedAt }) => lastUsedAt !== null && lastUsedAt > addSeconds(now, -86_400))
  return inUse.map(({ bot, id, expiresAt, lastUsedAt }) =>
    warn('secrets', `secret ${id} of ${bot} expires at ${expiresAt?.toISOString() ?? 'no time'}, and was used at ${lastUsedAt?.toISOString() ?? 'no time'}`, `give its pipelines another: mintmark secret create ${bot}`))
}

/** An address, and not the credentials in it. */
function withoutPassword (url: string): string {
  return url.replace(/\/\/[^/]*@/, '//…@')
}

/** A clock that was set back shows in keys that were published in the future. */
function aboutClock (publishedAt: readonly Date[], now: Date): Finding {
  return publishedAt.some(date => date > now)
    ? failed('clock', `keys were published later than now, ${now.toISOString()}`, 'the clock of this machine has been set back: set it by NTP')
    : ok('clock', now.toISOString())
}

async function aboutPool ({ authority, jwksUri }: { authority: string, jwksUri: string }): Promise<Finding> {
  try {
    const response = await fetch(jwksUri, { signal: AbortSignal.timeout(4_000), redirect: 'error' })
    if (!response.ok) return failed('user pool', `${jwksUri} answers ${response.status}`, 'compare AUTHENTICATION_AUTHORITY with the pool id and its region')
    const behind = clockDifferenceSeconds(response.headers.get('date'))
    if (Math.abs(behind) > 5) return warn('clock', `it differs from that of ${authority} by ${behind} s`, 'set it by NTP')
    return ok('user pool', `${authority} can be reached`)
  } catch (error) {
    return failed('user pool', `${jwksUri} cannot be reached: ${reasonOf(error)}`, 'try it with curl from this machine: DNS, proxy, firewall, certificate')
  }
}

async function aboutWorkloadIssuer (trusted: WorkloadIssuer): Promise<Finding> {
  const { issuer, jwksFile } = trusted
  try {
    const keys = await workloadKeys(trusted, { clock: () => new Date() }).read()
    if (keys.length === 0) return failed('workload issuer', `${issuer} has no public key`, `look at ${jwksFile ?? 'its jwks_uri'}`)
    return ok('workload issuer', `${issuer}: ${keys.length} public ${keys.length === 1 ? 'key' : 'keys'}${jwksFile === null ? '' : `, in ${jwksFile}`}`)
  } catch (error) {
    return failed('workload issuer', reasonOf((error as Error).cause), jwksFile === null ? 'try its address with curl from this machine; if it cannot be reached, put its keys into a file: MINTMARK_TRUSTED_ISSUERS=issuer=FILE' : 'see MINTMARK_TRUSTED_ISSUERS')
  }
}

/** `fetch` only says that it failed; why stands in the cause. */
function reasonOf (error: unknown): string {
  const { message, cause } = error as Error
  return cause instanceof Error ? `${message} (${cause.message})` : message
}

function clockDifferenceSeconds (date: string | null): number {
  const theirs = Date.parse(date ?? '')
  return Number.isNaN(theirs) ? 0 : Math.round((Date.now() - theirs) / 1000)
}
