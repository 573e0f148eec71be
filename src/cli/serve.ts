import type { Command } from 'commander'
import { configFromProcess } from '../config.ts'

/** @param command how the reader calls this program */
export function addServeCommand (program: Command, command: string): void {
  program.command('serve').description('run the service').helpOption('--help').action(async () => {
    const { serve } = await import('../main.ts') // the other commands need no server
    await serve(configFromProcess(), command)
  })
}
