/** What this server reads from its environment, under mintmark's own names: the env file of OpenMetadata's Cognito guide serves both. */

export interface Settings {
  /** Address of the mintmark service, whose bots may come. */
  issuer: string
  /** Plain http to it, on a private network. */
  allowHttp: boolean
  audience: string[]
  /** Issuer of the user pool whose people may come. */
  authority: string
  /** App client of that pool: public, without a secret. */
  clientId: string
  /** Where the hosted UI sends people back to. Its origin is this server's address as browsers see it. */
  callbackUrl: URL
  principalClaims: string[]
  principalDomain: string
  /** Only people with a verified e-mail address of that domain may come. */
  enforcePrincipalDomain: boolean
  adminPrincipals: string[]
  adminGroups: string[]
  /** Proxies whose `X-Forwarded-*` are believed. */
  trustProxy: string[]
  databaseFile: string
  /** Signs the session cookie; `null`: one of its own at each start, and everybody signs in anew. */
  sessionSecret: string | null
  host: string
  port: number
}

/** Throws with every fault at once, one a line. */
export function readSettings (environment: Readonly<Record<string, string | undefined>>): Settings {
  const faults: string[] = []
  const text = (name: string): string | null => tidy(environment[name] ?? '')
  const list = (name: string, fallback: string): string[] => listIn(text(name) ?? fallback)
  function take<T> (name: string, takes: string, value: T | null): T {
    if (value === null) faults.push(`${name} takes ${takes}`)
    return value as T
  }

  const callbackUrl = take('AUTHENTICATION_CALLBACK_URL', 'an http or https address', URL.parse(text('AUTHENTICATION_CALLBACK_URL') ?? 'http://localhost:8585/callback'))
  const port = Number(text('PORT') ?? ((callbackUrl as URL | null)?.protocol === 'http:' ? callbackUrl.port || 80 : 8585))
  const sessionSecret = text('SESSION_SECRET')
  if (sessionSecret !== null && sessionSecret.length < 32) faults.push('SESSION_SECRET takes 32 characters or more')
  const settings: Settings = {
    issuer: text('MINTMARK_ISSUER') ?? 'http://localhost:8590',
    allowHttp: text('MINTMARK_ALLOW_HTTP') === 'true',
    audience: list('MINTMARK_AUDIENCE', 'metadata-api'),
    authority: take('AUTHENTICATION_AUTHORITY', 'the issuer of the user pool, https://cognito-idp.<region>.amazonaws.com/<poolId>', text('AUTHENTICATION_AUTHORITY')),
    clientId: take('AUTHENTICATION_CLIENT_ID', 'the id of an app client without a secret', text('AUTHENTICATION_CLIENT_ID')),
    callbackUrl,
    principalClaims: list('AUTHENTICATION_JWT_PRINCIPAL_CLAIMS', 'email,preferred_username,sub'),
    principalDomain: text('AUTHORIZER_PRINCIPAL_DOMAIN') ?? 'open-metadata.org',
    enforcePrincipalDomain: text('AUTHORIZER_ENFORCE_PRINCIPAL_DOMAIN') === 'true',
    adminPrincipals: list('AUTHORIZER_ADMIN_PRINCIPALS', ''),
    adminGroups: list('MINTMARK_ADMIN_GROUPS', ''),
    trustProxy: list('MINTMARK_TRUST_PROXY', ''),
    databaseFile: text('DATABASE_FILE') ?? 'data/metadata.db',
    sessionSecret,
    host: text('HOST') ?? 'localhost',
    port: take('PORT', 'a port, 1 to 65535', Number.isInteger(port) && port > 0 && port < 65536 ? port : null)
  }
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return settings
}

/** Docker hands comments and quotes on to the program; a shell and Node do not. */
function tidy (value: string): string | null {
  return value.replace(/(?:^|\s+)#.*$/, '').trim().replace(/^(["'])(.*)\1$/, '$2') || null
}

/** `[a, b]` or `a,b` */
function listIn (value: string): string[] {
  return value.replace(/^\[(.*)\]$/, '$1').split(',').map(entry => tidy(entry)).filter(entry => entry !== null)
}
