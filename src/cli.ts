#!/usr/bin/env node
/** Operator commands over the same parts as the service. Exit 0: done; 1: failed, or a token was refused; 2: wrong usage. */
import { Command, CommanderError } from 'commander'
import { addAgentCommand } from './cli/agent.ts'
import { addApplyCommands } from './cli/apply.ts'
import { addBackupCommand } from './cli/backup.ts'
import { addBotCommands } from './cli/bots.ts'
import { addDoctorCommand } from './cli/doctor.ts'
import { addKeyCommands } from './cli/keys.ts'
import { Failed } from './cli/output.ts'
import { addTokenCommand } from './cli/token.ts'
import { addVerifyCommand } from './cli/verify.ts'
import { configFromProcess, SettingsError } from './config.ts'
import { MasterKeyError } from './keys/local-vault.ts'
import { serve } from './main.ts'
import { StoreUnavailable } from './store/database.ts'
import { version } from './version.ts'

/** How the reader calls this program: in a checkout by npm, else by its name (in the image, that is a link to this file). */
const command = process.argv[1]?.endsWith('.ts') ? 'npm run --silent mintmark --' : 'mintmark'

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

program.command('serve').description('run the service').helpOption('--help').action(async () => { await serve(configFromProcess(), command) })
addBotCommands(program, command)
addApplyCommands(program)
addKeyCommands(program)
addVerifyCommand(program)
addTokenCommand(program)
addAgentCommand(program)
addDoctorCommand(program)
addBackupCommand(program)
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

/** Errors that carry a sentence for the operator give it; of any other the name must do. */
function messageOf (error: unknown): string {
  if (error instanceof SettingsError || error instanceof MasterKeyError || error instanceof StoreUnavailable || error instanceof Failed) return error.message
  const { code = '', message } = error as NodeJS.ErrnoException
  return `${HINTS[code] ?? 'mintmark failed'}: ${message.replace(`${code}: `, '')}`
}

/** Commander would end the process with 1 for wrong usage. */
function exitOverrideAll (parent: Command): void {
  parent.exitOverride()
  for (const child of parent.commands) exitOverrideAll(child)
}
