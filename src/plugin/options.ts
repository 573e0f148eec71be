/** What a metadata API says when it registers the plugin. Forgetting a check does not compile and does not start; skipping one is an explicit `null`. */
import { isLoopback } from '../loopback.ts'
import { issuerFormsOf } from '../verify/cognito-tokens.ts'

interface CognitoClient {
  /** App client id, or a list; `null`: any client of the pool. */
  clientId: string | readonly string[] | null
  /** Token kinds that are accepted; both by default. */
  tokenUse?: ReadonlyArray<'access' | 'id'>
  /** Claims that a user's name is taken from; `email`, `preferred_username` by default. */
  principalClaims?: readonly string[]
  /** The roles that members of a group have: `{ stewards: ['DataSteward'] }`. None by default. */
  groupRoles?: Readonly<Record<string, readonly string[]>>
}

/** A user pool, by its id or by its issuer. */
export type CognitoOptions = CognitoClient & ({ userPoolId: string, issuer?: never } | { issuer: string, userPoolId?: never })

/** The bot that a machine client of a user pool stands for. */
export interface MachineOptions {
  name: string
  roles?: readonly string[]
  scopes?: readonly string[]
}

export interface MintmarkOptions {
  /** Address of the mintmark service, which is the `iss` of its tokens. https, but for loopback or with `allowHttp`. */
  issuer: string
  /** What a bot's token must be meant for, or a list any of which will do; `null`: anything. */
  audience: string | readonly string[] | null
  /** User pools whose users may come; none by default. */
  cognito?: CognitoOptions | readonly CognitoOptions[]
  /** Machine clients of the user pools that may come, by client id; none by default. */
  machines?: Readonly<Record<string, MachineOptions>>
  /** Where the issuer's JWKS is, if not at `<issuer>/.well-known/jwks.json`. */
  jwksUri?: string
  /** Where the issuer's revocation feed is, if not at `<issuer>/.well-known/token-revocations`, or beside a `jwksUri` at one of the service's own paths. */
  revocationsUri?: string
  /** How often the feed is asked for; 3 by default, 60 at most. A revocation is known here after that, and 11 seconds where a cache stands between. */
  revocationsRefreshSeconds?: number
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

const DEFAULTS = {
  cognito: [],
  machines: {},
  revocationsRefreshSeconds: 3,
  allowHttp: false,
  clockToleranceSeconds: 5,
  adminGroups: [],
  adminPrincipals: [],
  principalDomain: 'open-metadata.org',
  enforcePrincipalDomain: false
} satisfies Partial<MintmarkOptions>

/** The options, checked, with what is left out filled in. */
export type Options = Required<Omit<MintmarkOptions, 'jwksUri' | 'revocationsUri'>> & Pick<MintmarkOptions, 'jwksUri' | 'revocationsUri'>

/** Throws `TypeError` with a sentence if `given` forgets something: not everyone compiles. */
export function readOptions (given: MintmarkOptions): Options {
  const options: Options = { ...DEFAULTS, ...withoutUndefined(given), issuer: withoutSlash(given.issuer) }
  const { allowHttp } = options
  assertAddress('issuer', options.issuer, allowHttp)
  if (options.jwksUri !== undefined) assertAddress('jwksUri', options.jwksUri, allowHttp)
  if (options.revocationsUri !== undefined) assertAddress('revocationsUri', options.revocationsUri, allowHttp)
  assertNames('audience', options.audience)
  assertSeconds('revocationsRefreshSeconds', options.revocationsRefreshSeconds, 1, 60)
  assertSeconds('clockToleranceSeconds', options.clockToleranceSeconds, 0, 300)
  for (const flag of ['allowHttp', 'enforcePrincipalDomain'] as const) assertFlag(flag, options[flag])
  for (const list of ['adminGroups', 'adminPrincipals'] as const) assertWords(list, options[list])
  assertWords('principalDomain', [options.principalDomain])
  assertPools(options)
  assertMachines(options.machines)
  return options
}

function assertPools (options: Options): void {
  const known = new Set([options.issuer])
  for (const pool of poolsOf(options)) {
    if ((pool.userPoolId === undefined) === (pool.issuer === undefined)) throw new TypeError('mintmark: cognito takes either userPoolId or issuer')
    if (pool.userPoolId !== undefined && !USER_POOL_ID.test(pool.userPoolId)) throw new TypeError(`mintmark: "${pool.userPoolId}" is not a user pool id, such as us-west-1_DL8xfTzj8`)
    if (pool.issuer !== undefined) assertAddress('cognito.issuer', pool.issuer, false)
    assertNames('cognito.clientId', pool.clientId)
    assertTokenUse(pool.tokenUse)
    assertWords('cognito.principalClaims', pool.principalClaims ?? [])
    for (const [group, roles] of Object.entries(pool.groupRoles ?? {})) assertWords(`cognito.groupRoles of ${group}`, roles)
    for (const form of issuerFormsOf(pool.authority)) {
      if (known.has(form)) throw new TypeError(`mintmark: ${form} stands twice among issuer and cognito: list the clients of a pool in its clientId`)
      known.add(form)
    }
  }
}

function assertMachines (machines: Readonly<Record<string, MachineOptions>>): void {
  for (const [clientId, { name, roles = [], scopes = [] }] of Object.entries(machines)) {
    assertWords(`the name of machine ${clientId}`, [name])
    assertWords(`roles of machine ${clientId}`, roles)
    assertWords(`scopes of machine ${clientId}`, scopes)
  }
}

const USER_POOL_ID = /^[a-z]{2}(?:-[a-z]+)+-\d_[A-Za-z0-9]+$/

/** Each pool with its issuer, which is also where its keys are. */
export function poolsOf ({ cognito }: Pick<Options, 'cognito'>): ReadonlyArray<CognitoOptions & { authority: string }> {
  const pools = 'length' in cognito ? cognito : [cognito]
  return pools.map(pool => ({ ...pool, authority: authorityOf(pool) }))
}

function authorityOf ({ issuer, userPoolId = '' }: CognitoOptions): string {
  if (issuer !== undefined) return withoutSlash(issuer)
  const [region = ''] = userPoolId.split('_')
  return `https://cognito-idp.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}/${userPoolId}`
}

/** @returns a list of one for a single name; `null` stays `null` */
export function listOf (names: string | readonly string[] | null): readonly string[] | null {
  return typeof names === 'string' ? [names] : names
}

/** Not everyone compiles: what is no text is refused where it is looked at. */
function withoutSlash (address: string): string {
  return typeof address === 'string' ? address.replace(/\/+$/, '') : address
}

/** Without `exactOptionalPropertyTypes`, what is left out may also be there as `undefined`. */
function withoutUndefined (options: MintmarkOptions): MintmarkOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as unknown as MintmarkOptions
}

const isWord = (value: unknown): boolean => typeof value === 'string' && value !== ''

function assertNames (option: string, names: unknown): void {
  const list: unknown[] = Array.isArray(names) ? names : [names]
  if (names === null || (list.length > 0 && list.every(isWord))) return
  throw new TypeError(`mintmark: ${option} takes a string or a list of strings; null, if you mean to skip the check`)
}

function assertWords (option: string, words: unknown): void {
  if (!Array.isArray(words) || !words.every(isWord)) throw new TypeError(`mintmark: ${option} takes text, and a list takes strings`)
}

function assertTokenUse (uses: unknown = ['access']): void {
  if (!Array.isArray(uses) || uses.length === 0 || !uses.every(use => use === 'access' || use === 'id')) throw new TypeError('mintmark: cognito.tokenUse takes a list of "access" and "id"')
}

function assertFlag (option: string, flag: unknown): void {
  if (typeof flag !== 'boolean') throw new TypeError(`mintmark: ${option} takes true or false`)
}

function assertSeconds (option: string, seconds: unknown, least: number, most: number): void {
  if (typeof seconds !== 'number' || !(seconds >= least && seconds <= most)) throw new TypeError(`mintmark: ${option} takes a number of seconds from ${least} to ${most}`)
}

function assertAddress (option: string, address: unknown, allowHttp: boolean): void {
  const url = typeof address === 'string' ? URL.parse(address) : null
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && (isLoopback(url.href) || allowHttp))) return
  throw new TypeError(`mintmark: ${option} takes an https address (http on loopback${option.startsWith('cognito') ? '' : ', or with allowHttp'})`)
}
