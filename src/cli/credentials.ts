/** `mintmark bot jwks` and `mintmark bot trust`: ways to authenticate without a stored secret, from a file. */
import type { Command } from 'commander'
import type { Bot, ClientKey, TrustRule } from '../bots/bot.ts'
import { faultsOfKeys, faultsOfTrust, judgeKeySet, judgeTrustRules } from '../http/admin/credentials.ts'
import { faultsOf, type FieldFault } from '../http/problems.ts'
import { isTrustedIssuer } from '../issuers.ts'
import type { Parts } from '../parts.ts'
import { botName, byCli, Failed, noSuchBot, print, subcommand, type OutputOptions } from './output.ts'
import { withParts } from './with-parts.ts'
import { readYaml, type YamlFile } from './yaml-file.ts'

export function addCredentialCommands (bot: Command): void {
  subcommand(bot, 'jwks', 'let a bot authenticate with the private halves of these public keys (private_key_jwt); they replace those from before')
    .argument('<name>', 'its name', botName).argument('<file>', 'a JWKS, as JSON or YAML; "-": stdin')
    .action(async (name: string, path: string, options: OutputOptions) => {
      const file = readYaml(path)
      assertNone(shapeFaults(judgeKeySet, file, 'keys'), file)
      const keys = (file.content as { keys: ClientKey[] }).keys
      assertNone([...faultsOfKeys(keys)], file)
      await withParts(async parts => { await change(parts, name, { jwks: keys }, 'bot.jwks_set', { kids: keys.map(key => key.kid ?? null) }) })
      print(options, { keys }, `${name} authenticates with ${keys.length} ${keys.length === 1 ? 'key' : 'keys'}`)
    })

  subcommand(bot, 'trust', 'let workloads whose own tokens meet these rules have tokens of a bot (RFC 8693); they replace those from before')
    .argument('<name>', 'its name', botName).argument('<file>', 'a list of rules, as JSON or YAML; "-": stdin')
    .action(async (name: string, path: string, options: OutputOptions) => {
      const file = readYaml(path)
      assertNone(shapeFaults(judgeTrustRules, file, 'rules'), file)
      const rules = file.content as TrustRule[]
      await withParts(async parts => {
        assertNone(faultsOfTrust(rules, isTrustedIssuer(parts.config)), file)
        await change(parts, name, { trust: rules }, 'bot.trust_set', { rules })
      })
      print(options, rules, `${name} trusts by ${rules.length} ${rules.length === 1 ? 'rule' : 'rules'}`)
    })
}

async function change ({ bots, clock }: Parts, name: string, changes: Partial<Bot>, action: string, detail: Record<string, unknown>): Promise<void> {
  const outcome = await bots.update(name, bot => ({ ...bot, ...changes, updatedAt: clock() }), { ...byCli(), action, target: name, detail })
  if ('failed' in outcome) throw noSuchBot(name)
}

function shapeFaults (judge: typeof judgeKeySet, { content }: YamlFile, whole: string): FieldFault[] {
  return judge(content) ? [] : faultsOf((judge.errors ?? []) as Parameters<typeof faultsOf>[0], whole)
}

/** Throws {@link Failed} with every fault, by line. */
function assertNone (faults: readonly FieldFault[], file: YamlFile): void {
  if (faults.length > 0) throw new Failed(faults.map(({ field, message }) => `${file.placeOf(field)}: ${field} ${message}`).join('\n'))
}
