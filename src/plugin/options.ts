/** What a metadata API says when it registers the plugin. Forgetting a check does not compile and does not start; skipping one is an explicit `null`. */

interface CognitoClient {
  /** App client id, or a list; `null`: any client of the pool. */
  clientId: string | readonly string[] | null
  /** Token kinds that are accepted; both by default. */
  tokenUse?: ReadonlyArray<'access' | 'id'>
  /** Claims that a user's name is taken from; `email`, `preferred_username` by default. */
  principalClaims?: readonly string[]
}

/** A user pool, by its id or by its issuer. */
export type CognitoOptions = CognitoClient & ({ userPoolId: string, issuer?: never } | { issuer: string, userPoolId?: never })

export interface MintmarkOptions {
  /** Address of the mintmark service, which is the `iss` of its tokens. https, but for loopback or with `allowHttp`. */
  issuer: string
  /** What a bot's token must be meant for, or a list any of which will do; `null`: anything. */
  audience: string | readonly string[] | null
  /** User pools whose users may come; none by default. */
  cognito?: CognitoOptions | readonly CognitoOptions[]
  /** Where the issuer's JWKS is, if not at `<issuer>/.well-known/jwks.json`. */
  jwksUri?: string
  /** Plain http to the issuer, on a private network. */
  allowHttp?: boolean
  /** How far clocks may differ; 5 by default. */
  clockToleranceSeconds?: number
  /** Cognito groups whose members are admins; none by default. */
  adminGroups?: readonly string[]
  /** A `sub`, an e-mail address, or a bare name that stands for `<name>@<principalDomain>`. */
  adminPrincipals?: readonly string[]
  /** `open-metadata.org` by default. */
  principalDomain?: string
  /** Refuse users without a verified e-mail address of the principal domain. */
  enforcePrincipalDomain?: boolean
}

/** Throws `TypeError` with a sentence if `options` forgets something: not everyone compiles. */
export function assertOptions (options: MintmarkOptions): void {
  assertAddress('issuer', options.issuer, options.allowHttp ?? false)
  if (options.jwksUri !== undefined) assertAddress('jwksUri', options.jwksUri, options.allowHttp ?? false)
  assertNames('audience', options.audience)
  for (const pool of poolsOf(options)) {
    if ((pool.userPoolId === undefined) === (pool.issuer === undefined)) throw new TypeError('mintmark: cognito takes either userPoolId or issuer')
    if (pool.userPoolId !== undefined && !USER_POOL_ID.test(pool.userPoolId)) throw new TypeError(`mintmark: "${pool.userPoolId}" is not a user pool id, such as us-west-1_DL8xfTzj8`)
    if (pool.issuer !== undefined) assertAddress('cognito.issuer', pool.issuer, false)
    assertNames('cognito.clientId', pool.clientId)
  }
}

const USER_POOL_ID = /^[a-z]{2}(?:-[a-z]+)+-\d_[A-Za-z0-9]+$/

export function poolsOf ({ cognito = [] }: MintmarkOptions): readonly CognitoOptions[] {
  return 'length' in cognito ? cognito : [cognito]
}

export function authorityOf (pool: CognitoOptions): string {
  if (pool.issuer !== undefined) return pool.issuer.replace(/\/+$/, '')
  const [region] = pool.userPoolId.split('_')
  return `https://cognito-idp.${region ?? ''}.amazonaws.com${region?.startsWith('cn-') ? '.cn' : ''}/${pool.userPoolId}`
}

/** @returns a list of one for a single name; `null` stays `null` */
export function listOf (names: string | readonly string[] | null): readonly string[] | null {
  return typeof names === 'string' ? [names] : names
}

function assertNames (option: string, names: unknown): void {
  const list: unknown[] = Array.isArray(names) ? names : [names]
  if (names === null || (list.length > 0 && list.every(name => typeof name === 'string' && name !== ''))) return
  throw new TypeError(`mintmark: ${option} takes a string or a list of strings; null, if you mean to skip the check`)
}

function assertAddress (option: string, address: unknown, allowHttp: boolean): void {
  const url = typeof address === 'string' ? URL.parse(address) : null
  const loopback = url !== null && /^(?:localhost|.+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(url.hostname)
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && (loopback || allowHttp))) return
  throw new TypeError(`mintmark: ${option} takes an https address (http on loopback${option.startsWith('cognito') ? '' : ', or with allowHttp'})`)
}
