/** Commands that work on the service's own database and settings. */
import type { Command } from 'commander'
import { addApplyCommands } from './apply.ts'
import { addBackupCommand } from './backup.ts'
import { addBotCommands } from './bots.ts'
import { addDoctorCommand } from './doctor.ts'
import { addKeyCommands } from './keys.ts'
import { addVerifyCommand } from './verify.ts'

/** @param command how the reader calls this program */
export function addServiceCommands (program: Command, command: string): void {
  addBotCommands(program, command)
  addApplyCommands(program)
  addKeyCommands(program)
  addVerifyCommand(program)
  addDoctorCommand(program)
  addBackupCommand(program)
}
