/** `mintmark key …`. A running server obeys within two seconds. */
import type { Command } from 'commander'
import { listKeys, showKey } from '../http/admin/keys.ts'
import type { RotationWish } from '../keys/rotator.ts'
import { byCli, Failed, print, reason, subcommand, table, withParts, type OutputOptions } from './output.ts'

interface RotateOptions extends OutputOptions {
  force?: true
  emergency?: true
  reason?: string
}

export function addKeyCommands (program: Command): void {
  const key = program.command('key').description('the keys that sign bot tokens').helpOption('--help')

  subcommand(key, 'list', 'the key ring').option('--all', 'also keys that are gone').action(async (options: OutputOptions & { all?: true }) => {
    const list = await withParts(async ({ ring, policy, clock }) => listKeys(ring.all(), policy, clock(), options.all ?? false))
    const rows = list.keys.map(each => [each.kid, each.state, each.signsFrom, each.signsUntil ?? '-', each.verifiesUntil])
    print(options, list, table([['KID', 'STATE', 'SIGNS FROM', 'SIGNS UNTIL', 'VERIFIES UNTIL'], ...rows]))
  })

  const rotate = subcommand(key, 'rotate', 'let the pending key sign as soon as all verifiers can hold it')
    .option('--force', 'from now; verifiers that cache the JWKS may meet a key that they do not know yet')
    .option('--emergency', 'from now, and revoke the key that signed until now with every token of it')
    .option('--reason <text>', 'why; required with --emergency', reason)
  rotate.action(async (options: RotateOptions) => {
    const wish = wishOf(options, rotate)
    const rotation = await withParts(async ({ rotator }) => await rotator.rotate(wish, byCli()))
    const shape = { ...rotation, effectiveAt: rotation.effectiveAt.toISOString() }
    print(options, shape, table([['effective at', shape.effectiveAt], ['signing', shape.signing], ['next', shape.next]]))
  })

  subcommand(key, 'revoke', 'refuse a key and every token that it signed')
    .allowUnknownOption()
    .argument('<kid>', 'the key\'s kid')
    .requiredOption('--reason <text>', 'why', reason)
    .action(async (kid: string, options: OutputOptions & { reason: string }) => {
      const shown = await withParts(async ({ rotator, clock }) => {
        const revoked = await rotator.revoke(kid, options.reason, byCli())
        if (!revoked) throw new Failed(`there is no key ${kid}; "key list --all" shows those that there are`)
        return showKey(revoked, clock())
      })
      print(options, shown, `${kid} is revoked; every token that it signed is refused`)
    })
}

function wishOf (options: RotateOptions, command: Command): RotationWish {
  if (!options.emergency) return { kind: options.force ? 'forced' : 'scheduled' }
  if (options.reason === undefined) return command.error('error: --emergency takes a --reason')
  return { kind: 'emergency', reason: options.reason }
}
