/** `mintmark bot …` and `mintmark secret …`. */
import type { Command } from 'commander'
import type { Bot, StoredSecret } from '../bots/bot.ts'
import { draftBot } from '../bots/bot-draft.ts'
import { newSecret } from '../bots/secret.ts'
import { formatDuration } from '../duration.ts'
import { showBot, showSecret } from '../http/admin/bot-shapes.ts'
import { addSeconds, cutoffAt } from '../keys/signing-key.ts'
import type { Parts } from '../parts.ts'
import type { AuditDraft } from '../telemetry/audit.ts'
import { fitsIntoToken } from '../tokens/mint.ts'
import { ADMIN_SCOPE } from '../verify/admins.ts'
import { addCredentialCommands } from './credentials.ts'
import { botName, byCli, collect, duration, Failed, noSuchBot, print, scope, subcommand, table, type OutputOptions } from './output.ts'
import { withParts } from './with-parts.ts'

interface CreateOptions extends OutputOptions {
  role?: string[]
  scope?: string[]
  audience?: string[]
  ttl?: number
  admin?: true
  secret?: true
}

/** @param command how the reader calls this program */
export function addBotCommands (program: Command, command: string): void {
  const bot = program.command('bot').description('the bots that pipelines run as').helpOption('--help')

  subcommand(bot, 'create', 'make a bot')
    .argument('<name>', 'such as ingestion-bot', botName)
    .option('--role <role>', 'a role that its tokens carry; repeatable', collect)
    .option('--scope <scope>', 'a scope that its tokens may have; repeatable', scope)
    .option('--audience <audience>', 'whom its tokens are meant for; repeatable (MINTMARK_AUDIENCE by default)', collect)
    .option('--ttl <duration>', 'life of its tokens (MINTMARK_TOKEN_TTL by default)', duration)
    .option('--admin', 'let it administer: adds scope admin, and our issuer to the audiences')
    .option('--secret', 'make a client secret too, and show it once')
    .action(async (name: string, options: CreateOptions) => {
      await withParts(async parts => { await createBot(parts, name, options, command) })
    })

  subcommand(bot, 'list', 'bots by name').action(async (options: OutputOptions) => {
    const { bots, config } = await withParts(async parts => ({ bots: await allBots(parts), config: parts.config }))
    const rows = bots.map(each => [each.name, each.enabled ? 'enabled' : 'disabled', each.scopes.join(' ') || '-', each.roles.join(',') || '-'])
    print(options, { bots: bots.map(each => showBot(each, config)), next: null }, table([['NAME', 'STATE', 'SCOPES', 'ROLES'], ...rows]))
  })

  subcommand(bot, 'show', 'one bot').argument('<name>', 'its name', botName).action(async (name: string, options: OutputOptions) => {
    const shown = await withParts(async parts => showBot(found(await parts.bots.find(name), name), parts.config))
    print(options, shown, describeBot(shown))
  })

  for (const [verb, enabled] of [['enable', true], ['disable', false]] as const) {
    const effect = enabled ? 'let its tokens in again' : 'refuse its tokens, and mint none'
    subcommand(bot, verb, effect).argument('<name>', 'its name', botName).action(async (name: string, options: OutputOptions) => {
      const shown = await withParts(async ({ bots, clock, config }) => {
        const outcome = await bots.update(name, each => ({ ...each, enabled, updatedAt: clock() }), { ...byCli(), action: 'bot.updated', target: name, detail: { enabled } })
        return showBot(found('done' in outcome ? outcome.done : null, name), config)
      })
      print(options, shown, `${name} is ${verb}d`)
    })
  }

  subcommand(bot, 'delete', 'end a bot, its secrets and its tokens').argument('<name>', 'its name', botName).action(async (name: string, options: OutputOptions) => {
    await withParts(async ({ bots, ring, clock }) => {
      if (!await bots.remove(name, anyone, cutoffAt(ring.all(), clock()), { ...byCli(), action: 'bot.deleted', target: name })) throw noSuchBot(name)
    })
    print(options, { name }, `${name} is deleted; its tokens are refused`)
  })

  addCredentialCommands(bot)
  addSecretCommands(program)
}

function addSecretCommands (program: Command): void {
  const secret = program.command('secret').description('the client secrets of bots').helpOption('--help')

  subcommand(secret, 'create', 'make a secret beside those that there are, and show it once')
    .argument('<name>', 'name of the bot', botName)
    .option('--expires-in <duration>', 'it never expires by default', duration)
    .option('--expires-others <duration>', 'let all other secrets of the bot expire then, unless they do so sooner', duration)
    .option('--description <text>', 'what it is for')
    .action(async (name: string, options: OutputOptions & { expiresIn?: number, expiresOthers?: number, description?: string }) => {
      const { secret: shown, stored, othersExpireAt } = await withParts(async ({ secrets, clock }) => {
        const made = newSecret(name, {
          now: clock(),
          ...(options.expiresIn !== undefined && { expiresInSeconds: options.expiresIn }),
          ...(options.description !== undefined && { description: options.description })
        })
        const othersExpireAt = options.expiresOthers === undefined ? undefined : addSeconds(clock(), options.expiresOthers)
        if (!await secrets.add(made.stored, anyone, secretCreated(name, made.stored, othersExpireAt), othersExpireAt)) throw noSuchBot(name)
        return { ...made, othersExpireAt }
      })
      const { lastUsedAt: _, ...rest } = showSecret(stored)
      print(options, { ...rest, secret: shown }, `${shown}\n\nid ${stored.id}, ${rest.expiresAt ? `expires at ${rest.expiresAt}` : 'never expires'}. It is not shown again.${othersExpireAt ? `\nThe bot's other secrets expire at ${othersExpireAt.toISOString()} at the latest.` : ''}`)
    })

  subcommand(secret, 'list', 'secrets of a bot, never themselves').argument('<name>', 'name of the bot', botName).action(async (name: string, options: OutputOptions) => {
    const list = await withParts(async ({ bots, secrets }) => {
      found(await bots.find(name), name)
      return (await secrets.list(name)).map(showSecret)
    })
    const rows = list.map(each => [each.id, each.createdAt, each.expiresAt ?? 'never', each.lastUsedAt ?? 'never', each.description ?? ''])
    print(options, { secrets: list, next: null }, table([['ID', 'CREATED', 'EXPIRES', 'LAST USED', 'DESCRIPTION'], ...rows]))
  })

  subcommand(secret, 'revoke', 'end a secret at once').argument('<name>', 'name of the bot', botName).argument('<id>', 'id of the secret')
    .action(async (name: string, id: string, options: OutputOptions) => {
      await withParts(async ({ secrets }) => {
        if (!await secrets.remove(name, id, anyone, { ...byCli(), action: 'secret.revoked', target: name, detail: { id } })) throw new Failed(`${name} has no secret of id ${id}; "secret list ${name}" shows those that it has`)
      })
      print(options, { id }, `secret ${id} is revoked; tokens that were fetched with it live on until they expire`)
    })
}

/** Whoever reaches the database may act on any bot. */
const anyone = (): void => {}

async function createBot (parts: Parts, name: string, options: CreateOptions, command: string): Promise<void> {
  const { config, bots, clock } = parts
  if (options.ttl !== undefined && options.ttl > config.maxTokenTtlSeconds) {
    throw new Failed(`--ttl takes at most ${formatDuration(config.maxTokenTtlSeconds)} (MINTMARK_MAX_TOKEN_TTL)`)
  }
  const bot = draftBot(name, {
    roles: options.role ?? [],
    scopes: [...new Set([...options.scope ?? [], ...(options.admin ? [ADMIN_SCOPE] : [])])],
    audiences: [...new Set([...options.audience ?? config.audience, ...(options.admin ? [config.issuer] : [])])],
    tokenTtlSeconds: options.ttl ?? null
  }, config.audience, clock())
  if (!fitsIntoToken(bot, config)) throw new Failed('roles, scopes and audiences together would make tokens larger than the 8 KiB that verifiers take')
  const first = options.secret ? newSecret(name, { now: clock() }) : undefined
  const { name: _, createdAt: __, updatedAt: ___, ...detail } = bot
  const outcome = await bots.create(bot, first?.stored ?? null, { ...byCli(), action: 'bot.created', target: name, detail: { ...detail, secret: first?.stored.id ?? null } })
  if (outcome !== 'created') throw new Failed(`there is a bot named ${name} already`)

  const shown = showBot(bot, config)
  const help = first
    ? [`clientId      ${name}`, `clientSecret  ${first.secret}   (not shown again)`, '', 'Fetch a token:', `  curl -u ${name}:${first.secret} -d grant_type=client_credentials ${config.publicUrl}/oauth/token`]
    : [`Give it a secret:  ${command} secret create ${name}`]
  print(options, first ? { ...shown, clientSecret: first.secret } : shown, [describeBot(shown), '', ...help].join('\n'))
}

function secretCreated (bot: string, { id, expiresAt, description }: StoredSecret, othersExpireAt?: Date): AuditDraft {
  return { ...byCli(), action: 'secret.created', target: bot, detail: { id, expiresAt, description, ...(othersExpireAt && { othersExpireAt }) } }
}

export async function allBots ({ bots }: Pick<Parts, 'bots'>): Promise<Bot[]> {
  const all: Bot[] = []
  for (;;) {
    const page = await bots.list({ limit: 200, after: all.at(-1)?.name })
    all.push(...page)
    if (page.length < 200) return all
  }
}

function describeBot (bot: ReturnType<typeof showBot>): string {
  return table([
    ['bot', bot.name],
    ['state', bot.enabled ? 'enabled' : 'disabled'],
    ['e-mail', bot.email],
    ['roles', bot.roles.join(', ') || '-'],
    ['scopes', bot.scopes.join(' ') || '-'],
    ['audiences', bot.audiences.join(', ')],
    ['token life', bot.tokenTtl ?? 'the default']
  ])
}

function found (bot: Bot | null, name: string): Bot {
  if (!bot) throw noSuchBot(name)
  return bot
}
