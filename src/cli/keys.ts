/** `mintmark key …`. A running server obeys within two seconds. */
import { readFileSync } from 'node:fs'
import { InvalidArgumentError, type Command } from 'commander'
import { listKeys, showKey, showLegacyKey, touchesOf, type KeyUses } from '../http/admin/key-shapes.ts'
import { KeyRefused } from '../keys/key-import.ts'
import type { Imported, ImportRequest, KnownKey } from '../keys/key-office.ts'
import type { RotationWish } from '../keys/rotator.ts'
import type { OpenOptions, Parts } from '../parts.ts'
import { byCli, Failed, print, reason, subcommand, table, type OutputOptions } from './output.ts'
import { withParts } from './with-parts.ts'

interface DryRunOptions extends OutputOptions {
  dryRun?: true
}

interface RotateOptions extends DryRunOptions {
  force?: true
  emergency?: true
  reason?: string
}

interface ImportOptions extends DryRunOptions {
  privateKey?: Buffer
  publicKey?: Buffer
  kid?: string
  issuer?: string
  verifiesUntil?: Date
}

export function addKeyCommands (program: Command): void {
  const key = program.command('key').description('the keys that sign bot tokens').helpOption('--help')
  addListCommand(key)
  addRotateCommand(key)
  addRevokeCommand(key)
  addImportCommand(key)
  addResealCommand(key)
  addReplaceLostCommand(key)
}

function addListCommand (key: Command): void {
  subcommand(key, 'list', 'the key ring, and legacy keys').option('--all', 'also keys that are gone').action(async (options: OutputOptions & { all?: true }) => {
    const list = await withParts(async parts => listKeys({ ring: parts.ring.all(), legacy: parts.legacyRing.all(), uses: await readUses(parts) }, parts.policy, parts.clock(), options.all ?? false))
    const rows = list.keys.map(each => [
      each.kid, each.legacyIssuer ? `${each.state}, legacy (${each.legacyIssuer})` : each.state, each.signsFrom ?? '-', each.signsUntil ?? '-', each.verifiesUntil, String(each.tokens.bots)
    ])
    print(options, list, table([['KID', 'STATE', 'SIGNS FROM', 'SIGNS UNTIL', 'VERIFIES UNTIL', 'BOTS'], ...rows]))
  })
}

function addRotateCommand (key: Command): void {
  const rotate = withDryRun(subcommand(key, 'rotate', 'let the pending key sign as soon as all verifiers can hold it'))
    .option('--force', 'from now; verifiers that cache the JWKS may meet a key that they do not know yet')
    .option('--emergency', 'from now, and revoke the key that signed until now with every token of it')
    .option('--reason <text>', 'why; required with --emergency', reason)
  rotate.action(async (options: RotateOptions) => {
    const wish = wishOf(options, rotate)
    const shape = await withParts(async parts => {
      if (!options.dryRun) return await parts.rotator.rotate(wish, byCli())
      const { revokes, ...rotation } = await parts.rotator.preview.rotate(wish)
      return { dryRun: true, ...rotation, touches: touchesOf(revokes, await readUses(parts), null) }
    }, openedFor(options))
    const text = table([['effective at', shape.effectiveAt.toISOString()], ['signing', shape.signing], ['next', shape.next]])
    const waits = shape.effectiveAt > new Date() ? '\n\nThe next key signs when every verifier has had MINTMARK_PUBLISH_AHEAD to fetch it; --force does not wait.' : ''
    print(options, shape, `${text}${waits}${'touches' in shape ? touched(shape.touches) : ''}`)
  })
}

function addRevokeCommand (key: Command): void {
  withDryRun(subcommand(key, 'revoke', 'refuse a key and every token that it signed'))
    .allowUnknownOption() // a kid may begin with a dash
    .argument('<kid>', 'the key\'s kid')
    .requiredOption('--reason <text>', 'why', reason)
    .action(async (kid: string, options: DryRunOptions & { reason: string }) => {
      const shape = await withParts(async parts => {
        const known = await parts.keyOffice.revoke(kid, options.reason, byCli(), options.dryRun ?? false)
        if (!known) throw new Failed(`there is no key ${kid}; "key list --all" shows those that there are`)
        return await show(parts, known, options.dryRun)
      }, openedFor(options))
      print(options, shape, 'touches' in shape ? `${kid} would be revoked${shape.legacyIssuer && shape.touches.liveTokens === 0 ? '\n\nNo token of it was seen here yet; who still has one is not known.' : touched(shape.touches)}` : `${kid} is revoked; every token that it signed is refused`)
    })
}

function addImportCommand (key: Command): void {
  withDryRun(subcommand(key, 'import', 'take in a key: into the ring with its private half, or as a legacy key with the issuer of its tokens'))
    .option('--private-key <file>', 'PEM or DER (PKCS#8)', file)
    .option('--public-key <file>', 'PEM or DER (SPKI)', file)
    .option('--kid <kid>', 'its thumbprint by default')
    .option('--issuer <iss>', 'the iss of the tokens that it signed, such as open-metadata.org: makes it a legacy key')
    .option('--verifies-until <date>', 'of a legacy key; 90 days from now by default', date)
    .action(async ({ privateKey, publicKey, kid, issuer, verifiesUntil, ...options }: ImportOptions) => {
      const request: ImportRequest = { privateKey, publicKey, kid, issuer, verifiesUntil }
      const shape = await withParts(async parts =>
        await show(parts, assertTaken(await parts.keyOffice.import(request, byCli(), options.dryRun ?? false).catch(asFailure)), options.dryRun), openedFor(options))
      const what = shape.legacyIssuer ? `legacy key ${shape.kid}: tokens of ${shape.legacyIssuer} verify until ${shape.verifiesUntil}` : `key ${shape.kid} signs from ${shape.signsFrom ?? 'now'}`
      print(options, shape, options.dryRun ? `would import ${what}` : `imported ${what}`)
    })
}

function addResealCommand (key: Command): void {
  withDryRun(subcommand(key, 'reseal', 'seal every private half anew with the first of MINTMARK_MASTER_KEY; the others may then go'))
    .action(async (options: DryRunOptions) => {
      const keys = await withParts(async ({ reseal }) => await reseal(byCli(), options.dryRun ?? false), openedFor(options))
      print(options, { ...(options.dryRun && { dryRun: true }), keys }, `${keys} ${keys === 1 ? 'key' : 'keys'} ${options.dryRun ? 'would be' : 'are'} sealed with the first master key`)
    })
}

function addReplaceLostCommand (key: Command): void {
  withDryRun(subcommand(key, 'replace-lost', 'when the master key is lost: new keys in the place of those that it sealed; their tokens stay good'))
    .requiredOption('--reason <text>', 'why', reason)
    .action(async (options: DryRunOptions & { reason: string }) => {
      const kids = await withParts(async ({ replaceLost }) => await replaceLost(options.reason, byCli(), options.dryRun ?? false), { keys: 'may be lost' })
      const count = `${kids.length} ${kids.length === 1 ? 'key' : 'keys'}`
      const done = `${count} ${options.dryRun ? 'would be' : kids.length === 1 ? 'is' : 'are'} replaced: ${kids.join(', ')}\n\nTheir tokens stay good. Restart every process of the service with the new master key.`
      print(options, { ...(options.dryRun && { dryRun: true }), replaced: kids }, kids.length === 0 ? 'the master key opens every key: nothing is lost' : done)
    })
}

/** The ring is not even settled in a dry run: the service may have other settings than whoever calls. */
function openedFor ({ dryRun }: DryRunOptions): OpenOptions {
  return dryRun ? { keys: 'as they are' } : {}
}

function withDryRun (command: Command): Command {
  return command.option('--dry-run', 'change nothing, and say what it would touch')
}

async function readUses ({ counts, clock }: Parts): Promise<KeyUses> {
  return { counts: await counts.read(clock()), legacy: await counts.readLegacy() }
}

async function show (parts: Parts, known: KnownKey, dryRun: true | undefined) {
  const uses = await readUses(parts)
  const shown = known.kind === 'ring' ? showKey(known.key, uses, parts.clock()) : showLegacyKey(known.key, uses, parts.clock())
  return dryRun ? { dryRun, ...shown, touches: touchesOf(shown.kid, uses, parts.legacyRing.verifiesUntil(shown.kid)) } : shown
}

function touched ({ liveTokens, bots, until, lastUsedAt }: ReturnType<typeof touchesOf>): string {
  if (liveTokens === 0) return '\n\nNo living token would be refused.'
  return `\n\n${liveTokens} living tokens would be refused, the last until ${until ?? '?'}; last used ${lastUsedAt ?? 'never'}.\nBots: ${bots.join(', ')}`
}

function wishOf (options: RotateOptions, command: Command): RotationWish {
  if (!options.emergency) return { kind: options.force ? 'forced' : 'scheduled' }
  if (options.reason === undefined) return command.error('error: --emergency takes a --reason')
  return { kind: 'emergency', reason: options.reason }
}

function assertTaken (imported: Imported): KnownKey {
  if (imported.kind === 'kid taken') throw new Failed('there is a key of this kid already')
  if (imported.kind === 'refused') throw new Failed(`${imported.field} ${imported.why}`)
  return imported
}

function asFailure (error: unknown): never {
  throw error instanceof KeyRefused ? new Failed(`the ${error.field === 'privateKey' ? 'private' : 'public'} key ${error.message}`) : error
}

function file (path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}

function date (text: string): Date {
  const parsed = new Date(text)
  if (Number.isNaN(parsed.getTime())) throw new InvalidArgumentError('It takes a date, such as 2027-03-31 or 2027-03-31T12:00:00Z.')
  return parsed
}
