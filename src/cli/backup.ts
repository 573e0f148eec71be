/** `mintmark backup FILE`: the database as it is at one moment, without stopping anybody, and without the master key. */
import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { configFromProcess, type Config } from '../config.ts'
import { backUpDatabase, databaseExists } from '../store/database.ts'
import { Failed, print, subcommand, type OutputOptions } from './output.ts'

export function addBackupCommand (program: Command): void {
  subcommand(program, 'backup', 'copy the SQLite database into a new file, while the service goes on; never the master key')
    .argument('<file>', 'a path where nothing is yet')
    .action(async (file: string, options: OutputOptions) => {
      const config = configFromProcess()
      if (!databaseExists(config.databaseUrl)) throw new Failed(`there is no database to back up at ${config.databaseUrl}, see MINTMARK_DATABASE_URL`)
      const done = await backUpDatabase(config.databaseUrl, file).catch((error: unknown) => { throw asFailure(error, file) })
      if (done === null) throw new Failed('the database is PostgreSQL, whose own tools back it up: pg_dump')
      const { size } = statSync(file)
      print(options, { file, bytes: size }, `${file}, ${size} bytes. ${aboutMasterKey(config)}`)
    })
}

function aboutMasterKey ({ masterKey }: Config): string {
  return `The master key is not in it, and must be kept elsewhere: ${'file' in masterKey ? masterKey.file : 'MINTMARK_MASTER_KEY'}`
}

function asFailure (error: unknown, file: string): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException
  if (code === 'EEXIST') return new Failed(`${file} is there already, and a backup is never overwritten: choose another name`)
  return ['ENOENT', 'EACCES', 'EROFS', 'ENOSPC'].includes(code) ? new Failed(`the backup cannot be written: ${message}`) : error
}
