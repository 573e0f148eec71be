/** Token exchange (RFC 8693): a workload's own token, from a platform that is trusted, for the token of the bot whose trust rule it meets. */
import type { FastifyRequest } from 'fastify'
import { logOf } from '../requests.ts'
import type { Bot, TrustRule } from '../../bots/bot.ts'
import type { Work } from '../../bots/pipelines.ts'
import { mismatchOf, workOf } from '../../bots/trust.ts'
import type { TrustBook } from '../../bots/trust-book.ts'
import type { JudgedWorkload, JudgeWorkload } from '../../workloads/workload-tokens.ts'
import { showsCredentials } from './credentials.ts'
import { OAuthError, printable } from './oauth-error.ts'
import { required, type Parameters } from './parameters.ts'
import { workAskedFor } from './work.ts'

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:'
export const ACCESS_TOKEN_TYPE = `${TOKEN_TYPE}access_token`
const SUBJECT_TOKEN_TYPES = ['jwt', 'id_token', 'access_token'].map(type => `${TOKEN_TYPE}${type}`)
const ISSUED_TOKEN_TYPES = [ACCESS_TOKEN_TYPE, `${TOKEN_TYPE}jwt`]

const MOST_RULES_LOGGED = 10

export interface ExchangeParts {
  judgeWorkload: JudgeWorkload
  trustBook: Pick<TrustBook, 'rulesFor'>
}

interface Met { bot: Bot, rule: TrustRule }
type Good = JudgedWorkload & { is: 'good' }

/** Finds the bot that a request's subject token stands for, and what its token is for. Throws `OAuthError`. */
export type Exchange = (request: FastifyRequest, parameters: Parameters) => Promise<{ bot: Bot, work: Work }>

export function createTokenExchange ({ judgeWorkload, trustBook }: ExchangeParts): Exchange {
  return async (request, parameters) => {
    const subjectToken = subjectTokenIn(request, parameters)
    const workload = assertGood(request, await judgeWorkload(subjectToken))
    const { bot, rule } = ruleMetBy(request, workload, parameters.get('client_id'), trustBook)
    return { bot, work: agreeOn(workAskedFor(parameters), workOf(rule, workload.claims), rule) }
  }
}

/** Throws `invalid_request`. */
function subjectTokenIn (request: FastifyRequest, parameters: Parameters): string {
  const { get } = parameters
  const token = required(parameters, 'subject_token', 'the workload\'s own token')
  const type = required(parameters, 'subject_token_type', SUBJECT_TOKEN_TYPES.join(', '))
  if (!SUBJECT_TOKEN_TYPES.includes(type)) throw new OAuthError('invalid_request', `subject_token_type takes ${SUBJECT_TOKEN_TYPES.join(', ')}`)
  if (get('actor_token') !== undefined || get('actor_token_type') !== undefined) throw new OAuthError('invalid_request', 'actor_token is not taken: a bot acts for nobody else')
  const wanted = get('requested_token_type')
  if (wanted !== undefined && !ISSUED_TOKEN_TYPES.includes(wanted)) throw new OAuthError('invalid_request', `requested_token_type takes ${ISSUED_TOKEN_TYPES.join(' or ')}`)
  if (showsCredentials(request, parameters)) throw new OAuthError('invalid_request', 'Authenticate in one way: the subject token says who asks, client_id alone may pick a bot')
  return token
}

/** Throws unless a trusted issuer has signed it. Whoever sends another learns no more than that; the log says what to mend. */
function assertGood (request: FastifyRequest, judged: JudgedWorkload): Good {
  const log = logOf(request)
  const untrusted = new OAuthError('invalid_grant', 'The subject token is not of a trusted issuer')
  switch (judged.is) {
    case 'good': return judged
    case 'unreadable': throw new OAuthError('invalid_request', 'subject_token takes a JWT of at most 8 KiB, signed with RS256, PS256, ES256, ES384 or EdDSA, without crit')
    case 'of an unknown issuer':
      log.info({ unverifiedIssuer: shown(judged.unverifiedIssuer) }, 'a subject token names an issuer that is not one of MINTMARK_TRUSTED_ISSUERS')
      throw untrusted
    case 'not authentic':
      log.warn({ issuer: judged.issuer }, `a subject token is not authentic: ${judged.why}`)
      throw untrusted
    case 'not to be judged now':
      throw new OAuthError('temporarily_unavailable', 'The keys of the subject token\'s issuer cannot be had now: try again shortly', { cause: judged.cause })
    case 'wrong':
      log.warn({ issuer: judged.issuer, subject: shown(judged.claims.sub) }, `a subject token was refused: ${judged.why}`)
      throw new OAuthError('invalid_grant', `subject_token: ${judged.why}`)
  }
}

function ruleMetBy (request: FastifyRequest, workload: Good, clientId: string | undefined, trustBook: ExchangeParts['trustBook']): Met {
  const { issuer, claims } = workload
  const candidates = trustBook.rulesFor(issuer).filter(({ bot }) => clientId === undefined || bot.name === clientId)
  const met = candidates.filter(({ bot, rule }) => bot.enabled && mismatchOf(rule, claims) === null)
  const [first, ...others] = met
  const told = `subject ${shown(claims.sub)}, audience ${shown(claims.aud)}`
  if (!first) {
    logMismatches(request, workload, clientId, candidates)
    throw new OAuthError('invalid_grant', printable(`The subject token meets no trust rule: ${told}`))
  }
  if (others.some(({ bot }) => bot.name !== first.bot.name)) {
    logOf(request).warn({ issuer, subject: shown(claims.sub), bots: [...new Set(met.map(({ bot }) => bot.name))] }, 'a subject token meets the trust rules of several bots, and client_id picks none')
    throw new OAuthError('invalid_request', printable(`Several bots trust this token, pick one by client_id: ${told}`))
  }
  return first
}

/** For whoever set the rules up: which claim kept a token from meeting which of them. */
function logMismatches (request: FastifyRequest, { issuer, claims }: Good, clientId: string | undefined, candidates: readonly Met[]): void {
  const rules = candidates.slice(0, MOST_RULES_LOGGED).map(({ bot, rule }) => {
    const mismatch = mismatchOf(rule, claims)
    return mismatch ? { bot: bot.name, claim: mismatch.claim, expected: mismatch.expected, found: shown(mismatch.found) } : { bot: bot.name, met: 'but the bot is switched off' }
  })
  const workload = { issuer, subject: shown(claims.sub), audience: shown(claims.aud) }
  logOf(request).warn({ ...workload, rules }, candidates.length === 0
    ? `no bot ${clientId === undefined ? '' : 'of that client_id '}has a trust rule for the issuer of a subject token: PUT /admin/bots/{name}/trust`
    : `a subject token meets none of ${candidates.length} trust rules`)
}

/** What the claims say holds; a request may repeat it, and may say what they leave open. Throws `invalid_request`. */
function agreeOn (asked: Work, vouchedFor: Work, rule: TrustRule): Work {
  for (const part of ['pipeline', 'run'] as const) {
    if (vouchedFor[part] === undefined || asked[part] === undefined || asked[part] === vouchedFor[part]) continue
    throw new OAuthError('invalid_request', printable(`mintmark_${part} is not what the subject token says (${rule[`${part}Claim`] ?? ''})`))
  }
  return { ...asked, ...vouchedFor }
}

function shown (value: unknown): string {
  return (value === undefined ? 'none' : typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 200)
}
