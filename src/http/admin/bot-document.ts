/** All bots as one document, as `mintmark apply` takes it and `mintmark export` writes it: each field as the admin API has it. */
import { Type, type Static } from 'typebox'
import type { Bot, ClientKey } from '../../bots/bot.ts'
import type { BotDraft } from '../../bots/bot-draft.ts'
import type { WantedBot } from '../../bots/bot-plan.ts'
import { formatDuration } from '../../duration.ts'
import { faultsOf, Problem, type FieldFault } from '../problems.ts'
import { compileBody } from '../requests.ts'
import { BotName } from '../schemas.ts'
import { ChangeBotRequest, Changes, readChanges, type BotPolicy } from './bot-shapes.ts'
import { faultsOfKeys, faultsOfTrust, KeySet, TrustRules } from './credentials.ts'

const DocumentedBot = Type.Object({
  name: BotName,
  ...Changes,
  enabled: ChangeBotRequest.properties.enabled,
  jwks: Type.Optional(KeySet),
  trust: Type.Optional(TrustRules)
}, { additionalProperties: false })

const BotDocument = Type.Object({ bots: Type.Array(DocumentedBot) }, { additionalProperties: false })

const judge = compileBody(BotDocument)

export interface DocumentPolicy extends BotPolicy {
  isTrustedIssuer: (issuer: string) => boolean
}

/** @param document of a shape that nobody has looked at. @returns what it asks for, or all of its faults, by fields such as `bots.0.scopes` */
export function readDocument (document: unknown, policy: DocumentPolicy): { wanted: WantedBot[] } | { faults: FieldFault[] } {
  if (!judge(document)) return { faults: faultsOf((judge.errors ?? []) as Parameters<typeof faultsOf>[0], 'bots') }
  const { bots } = document as Static<typeof BotDocument>
  const faults: FieldFault[] = []
  const wanted = bots.map((bot, place) => {
    if (bots.findIndex(({ name }) => name === bot.name) < place) faults.push({ field: `bots.${place}.name`, message: `is there twice: ${bot.name}` })
    return { name: bot.name, draft: readBot(bot, policy, ({ field, message }) => { faults.push({ field: `bots.${place}.${field}`, message }) }) }
  })
  return faults.length > 0 ? { faults } : { wanted }
}

function readBot ({ jwks, trust = [], ...bot }: Static<typeof DocumentedBot>, policy: DocumentPolicy, blame: (fault: FieldFault) => void): BotDraft {
  const keys = (jwks?.keys ?? []) as ClientKey[]
  for (const { field, message } of faultsOfKeys(keys)) blame({ field: `jwks.${field}`, message })
  for (const { field, message } of faultsOfTrust(trust, policy.isTrustedIssuer)) blame({ field: `trust.${field}`, message })
  try {
    return { ...readChanges(bot, policy), jwks: keys, trust }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    error.faults.forEach(blame)
    return {}
  }
}

/** What a new bot has is left out, but for audiences: their default is a setting, which may change. */
export function showDocument (bots: readonly Bot[]): Static<typeof BotDocument> {
  return { bots: bots.map(showDocumentedBot) }
}

function showDocumentedBot ({ name, displayName, email, tokenTtlSeconds, enabled, audiences, jwks, trust, ...lists }: Bot): Static<typeof DocumentedBot> {
  const { roles, scopes, cognitoClientIds, pipelines } = lists
  return {
    name,
    ...(displayName !== null && { displayName }),
    ...(email !== null && { email }),
    ...(roles.length > 0 && { roles: [...roles] }),
    ...(scopes.length > 0 && { scopes: [...scopes] }),
    audiences: [...audiences],
    ...(tokenTtlSeconds !== null && { tokenTtl: formatDuration(tokenTtlSeconds) }),
    ...(cognitoClientIds.length > 0 && { cognitoClientIds: [...cognitoClientIds] }),
    ...(pipelines.length > 0 && { pipelines: [...pipelines] }),
    ...(!enabled && { enabled }),
    ...(jwks.length > 0 && { jwks: { keys: jwks as Static<typeof KeySet>['keys'] } }),
    ...(trust.length > 0 && { trust: trust as Static<typeof TrustRules> })
  }
}
