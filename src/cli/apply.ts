/** `mintmark apply` and `mintmark export`: bots as a file in git. */
import { isDeepStrictEqual } from 'node:util'
import type { Command } from 'commander'
import type { Bot } from '../bots/bot.ts'
import { BOT_FIELDS, clientsOfSeveral, planBots, type BotField, type BotPlan, type BotStep, type WantedBot } from '../bots/bot-plan.ts'
import type { Config } from '../config.ts'
import { formatDuration } from '../duration.ts'
import { readDocument, showDocument } from '../http/admin/bot-document.ts'
import { isTrustedIssuer } from '../issuers.ts'
import { cutoffAt } from '../keys/signing-key.ts'
import type { Parts } from '../parts.ts'
import type { AuditDraft } from '../telemetry/audit.ts'
import { fitsIntoToken } from '../tokens/mint.ts'
import { ADMIN_SCOPE } from '../verify/admins.ts'
import { allBots } from './bots.ts'
import { byCli, Failed, print, subcommand, type OutputOptions } from './output.ts'
import { withParts } from './with-parts.ts'
import { readYaml, writeYaml, type YamlFile } from './yaml-file.ts'

interface ApplyOptions extends OutputOptions {
  file: string
  prune?: boolean
  dryRun?: boolean
}

const HELP = `
The file says all of a bot: what it leaves out is as in a new bot. But enabled: left out, a bot that is switched off stays off.
Secrets are in no file, and are not touched. All is done in one transaction, or nothing. "mintmark export" writes such a file.`

export function addApplyCommands (program: Command): void {
  subcommand(program, 'apply', 'make the bots what a file says, and show what that changes')
    .requiredOption('-f, --file <file>', 'YAML or JSON; "-": stdin')
    .option('--prune', 'delete bots that the file lacks, with their secrets and tokens')
    .option('--dry-run', 'change nothing, and show what would change')
    .addHelpText('after', HELP)
    .action(async (options: ApplyOptions) => {
      const file = readYaml(options.file)
      await withParts(async parts => { await apply(file, options, parts) })
    })

  subcommand(program, 'export', 'all bots as the file that apply takes').action(async (options: OutputOptions) => {
    const document = showDocument(await withParts(allBots))
    print(options, document, writeYaml(document))
  })
}

/** Throws {@link Failed}, and then nothing is changed. */
export async function apply (file: YamlFile, { prune = false, dryRun = false, json }: ApplyOptions, { config, bots, botSteps, ring, clock }: Parts): Promise<void> {
  const wanted = wantedBots(file, config)
  const plan = (present: readonly Bot[]): BotPlan => planBots(present, wanted, { prune, defaultAudiences: config.audience }, clock())
  const present = await allBots({ bots })
  const shown = plan(present)
  assertSound(shown, present, config)
  if (!json) console.log(describePlan(shown, dryRun))
  if (!dryRun && shown.steps.length > 0) {
    await botSteps.carryOut(latest => {
      if (!isDeepStrictEqual(latest, present)) throw new Failed('somebody has changed bots since they were compared: nothing was done, run it again')
      return shown.steps
    }, cutoffAt(ring.all(), clock()), eventsOf)
  }
  if (json) print({ json }, { ...(dryRun && { dryRun }), ...showPlan(shown) }, '')
}

/** Throws {@link Failed} with every fault, by line. */
function wantedBots (file: YamlFile, config: Config): readonly WantedBot[] {
  const read = readDocument(file.content, { ...config, isTrustedIssuer: isTrustedIssuer(config) })
  if ('wanted' in read) return read.wanted
  throw new Failed(read.faults.map(({ field, message }) => `${file.placeOf(field)}: ${field} ${message}`).join('\n'))
}

/** What one bot of the file alone cannot tell. */
function assertSound ({ steps, outcome }: BotPlan, present: readonly Bot[], config: Config): void {
  const faults = [
    ...steps.filter(({ is, bot }) => is !== 'deletion' && !fitsIntoToken(bot, config)).map(({ bot }) => `${bot.name}: roles, scopes and audiences together would make tokens larger than the 8 KiB that verifiers take`),
    ...clientsOfSeveral(outcome).map(({ clientId, names }) => `cognitoClientIds: ${clientId} would stand for ${names.join(' and ')}`)
  ]
  if (faults.length > 0) throw new Failed(faults.join('\n'))
  const mayAdminister = (bot: Bot): boolean => bot.enabled && bot.scopes.includes(ADMIN_SCOPE) && bot.audiences.includes(config.issuer)
  const peopleAreAdmins = config.cognito !== null && config.adminGroups.length + config.adminPrincipals.length > 0
  if (present.some(mayAdminister) && !outcome.some(mayAdminister) && !peopleAreAdmins) {
    throw new Failed('nobody would be admin any more: keep a bot in the file that is enabled, with scope admin and our issuer as an audience; or end the last one with "bot delete" or "bot disable"')
  }
}

function eventsOf (step: BotStep): AuditDraft[] {
  const { is, bot } = step
  const by = { ...byCli(), target: bot.name }
  if (is === 'deletion') return [{ ...by, action: 'bot.deleted' }]
  const { jwks, trust, ...plain } = pick(bot, is === 'change' ? step.fields : BOT_FIELDS)
  return [
    ...(is === 'creation' ? [{ ...by, action: 'bot.created', detail: { ...plain, secret: null } }] : []),
    ...(is === 'change' && Object.keys(plain).length > 0 ? [{ ...by, action: 'bot.updated', detail: plain }] : []),
    ...(jwks && (is === 'change' || jwks.length > 0) ? [{ ...by, action: 'bot.jwks_set', detail: { kids: jwks.map(key => key.kid ?? null) } }] : []),
    ...(trust && (is === 'change' || trust.length > 0) ? [{ ...by, action: 'bot.trust_set', detail: { rules: trust } }] : [])
  ]
}

function pick (bot: Bot, fields: readonly BotField[]): Partial<Pick<Bot, BotField>> {
  return Object.fromEntries(fields.map(field => [field, bot[field]]))
}

function showPlan ({ steps, unchanged, left }: BotPlan): object {
  return {
    created: steps.filter(({ is }) => is === 'creation').map(({ bot }) => showDocument([bot]).bots[0]),
    updated: steps.flatMap(step => step.is === 'change' ? [{ name: step.bot.name, changes: Object.fromEntries(step.fields.map(field => [shownName(field), { from: shownValue(step.before, field), to: shownValue(step.bot, field) }])) }] : []),
    deleted: steps.filter(({ is }) => is === 'deletion').map(({ bot }) => bot.name),
    unchanged,
    notInFile: left
  }
}

function describePlan (plan: BotPlan, dryRun: boolean): string {
  const { steps, unchanged, left } = plan
  const count = (is: BotStep['is']): number => steps.filter(step => step.is === is).length
  const would = dryRun ? 'would be ' : ''
  return [
    ...steps.flatMap(describeStep),
    ...(left.length > 0 ? [`not in the file, and left as they are (--prune deletes them): ${left.join(', ')}`] : []),
    `${would}created: ${count('creation')}, ${would}changed: ${count('change')}, ${would}deleted: ${count('deletion')}, unchanged: ${unchanged.length}`
  ].join('\n')
}

function describeStep (step: BotStep): string[] {
  switch (step.is) {
    case 'creation': return [`+ ${step.bot.name}${step.bot.jwks.length + step.bot.trust.length > 0 ? '' : '   (it has no secret yet: secret create)'}`, ...indent(writeYaml(showDocument([step.bot]).bots[0]).split('\n').slice(1))]
    case 'change': return [`~ ${step.bot.name}`, ...indent(step.fields.map(field => `${shownName(field)}: ${JSON.stringify(shownValue(step.before, field))} → ${JSON.stringify(shownValue(step.bot, field))}`))]
    case 'deletion': return [`- ${step.bot.name}   (its secrets and tokens end with it)`]
  }
}

function indent (lines: string[]): string[] {
  return lines.map(line => `    ${line}`)
}

const shownName = (field: BotField): string => field === 'tokenTtlSeconds' ? 'tokenTtl' : field

function shownValue (bot: Bot, field: BotField): unknown {
  if (field === 'tokenTtlSeconds') return bot.tokenTtlSeconds === null ? null : formatDuration(bot.tokenTtlSeconds)
  return field === 'jwks' ? { keys: bot.jwks } : bot[field]
}
