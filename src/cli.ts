#!/usr/bin/env node
/** Operator commands over the same parts as the service. Exit 0: done; 1: failed, or a token was refused; 2: wrong usage. */
import { Command, CommanderError } from 'commander'
import { addAgentCommand } from './cli/agent.ts'
import { addServeCommand } from './cli/serve.ts'
import { addTokenCommand } from './cli/token.ts'
import { version } from './version.ts'

/** How the reader calls this program: in a checkout by npm, else by its name (in the image, that is a link to this file). */
const command = process.argv[1]?.endsWith('.ts') ? 'npm run --silent mintmark --' : 'mintmark'

/** Errors whose message is a sentence for the operator, by name: most of their classes belong to parts that need not be loaded. */
const SAYING = new Set(['Failed', 'SettingsError', 'MasterKeyError', 'StoreUnavailable'])

/** Which setting to look at when the system refuses something. */
const HINTS: Record<string, string> = {
  EADDRINUSE: 'another program has the port, see MINTMARK_PORT',
  EADDRNOTAVAIL: 'this machine has no such address, see MINTMARK_HOST',
  ENOTFOUND: 'this address is not known, see MINTMARK_HOST',
  EACCES: 'not permitted, see MINTMARK_PORT, MINTMARK_DATABASE_URL and MINTMARK_MASTER_KEY_FILE'
}

const program = new Command('mintmark')
  .description('Mints and rotates RSA-signed JWTs for ingestion bots, and verifies them beside Cognito user tokens.\nWorks on the database that the settings name, whether a server runs on it or not.')
  .version(version, '--version')
  .helpOption('--help')
  .enablePositionalOptions() // what follows --exec is another program's
  .configureHelp({ showGlobalOptions: true })

/** A command loads what it needs: `token` and `agent` run beside each pipeline, without a server and SQL; `serve` is waited for. */
const asked = process.argv[2] ?? ''
addServeCommand(program, command)
if (!['serve', 'token', 'agent'].includes(asked)) (await import('./cli/service-commands.ts')).addServiceCommands(program, command)
addTokenCommand(program)
addAgentCommand(program)
exitOverrideAll(program)

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
}

function exitCodeOf (error: unknown): 0 | 1 | 2 {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  const message = messageOf(error)
  if (message !== '') console.error(message)
  return 1
}

function messageOf (error: unknown): string {
  const { name, code = '', message } = error as NodeJS.ErrnoException
  if (SAYING.has(name)) return message
  return `${HINTS[code] ?? 'mintmark failed'}: ${message.replace(`${code}: `, '')}`
}

/** Commander would end the process with 1 for wrong usage. */
function exitOverrideAll (parent: Command): void {
  parent.exitOverride()
  for (const child of parent.commands) exitOverrideAll(child)
}
