/**
 * What the commands that are clients of the service take from the environment. They run where the service does not: its own
 * settings do not concern them, nor a fault in those.
 */
import { SettingsError, type Environment } from './config.ts'
import { SETTINGS, tidy, type SettingName, type Settings } from './settings.ts'

export interface ClientSettings {
  readonly url: string | undefined
  readonly clientId: string | undefined
  /** Itself, or the file that it is in: read when it is needed, since it may change. */
  readonly clientSecret: { readonly secret: string } | { readonly file: string } | undefined
  readonly allowHttp: boolean
  readonly logLevel: string
}

/** Throws {@link SettingsError} with all faults at once. */
export function readClientSettings (environment: Environment): ClientSettings {
  const faults: string[] = []

  function read<N extends SettingName> (name: N): Settings[N] | undefined {
    const setting = SETTINGS[name]
    const text = tidy(environment[name]) ?? setting.fallback
    const value = text === null ? undefined : setting.parse(text)
    if (text !== null && value === undefined) faults.push(`${name} takes ${setting.takes}`)
    return value as Settings[N] | undefined
  }

  const secret = read('MINTMARK_CLIENT_SECRET')
  const file = tidy(environment.MINTMARK_CLIENT_SECRET_FILE)
  if (secret !== undefined && file !== undefined) faults.push('MINTMARK_CLIENT_SECRET and MINTMARK_CLIENT_SECRET_FILE are both set: keep one of them')
  const settings: ClientSettings = {
    url: read('MINTMARK_URL'),
    clientId: read('MINTMARK_CLIENT_ID'),
    clientSecret: secret !== undefined ? { secret } : file !== undefined ? { file } : undefined,
    allowHttp: read('MINTMARK_ALLOW_HTTP') ?? false,
    logLevel: read('LOG_LEVEL') ?? 'info'
  }
  if (faults.length > 0) throw new SettingsError(faults)
  return settings
}
