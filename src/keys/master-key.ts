/** The master key of an embedded installation: a file beside the code, made once, before there is anything to seal. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { MasterKeyError } from './local-vault.ts'

/**
 * Reads the master keys from `file`, or makes the file if neither it nor a database exists yet.
 * @param parse what the setting `MINTMARK_MASTER_KEY` takes
 * Throws {@link MasterKeyError} with a sentence for the operator.
 */
export function masterKeysFromFile (file: string, databaseExists: boolean, parse: (text: string) => Buffer[] | undefined): Buffer[] {
  if (!existsSync(file)) {
    if (databaseExists) throw new MasterKeyError(`there is a database, but its master key is not at ${file}: put the file back, or set MINTMARK_MASTER_KEY; nothing was changed`)
    makeMasterKey(file)
  }
  const keys = parse(readText(file).trim())
  if (!keys) throw new MasterKeyError(`${file} does not hold a master key: 32 random bytes as base64url; nothing was changed`)
  return keys
}

function makeMasterKey (file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(file, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx', flush: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    throw new MasterKeyError(`the master key cannot be written to ${file}: ${(error as Error).message}`, { cause: error })
  }
}

function readText (file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new MasterKeyError(`the master key cannot be read from ${file}: ${(error as Error).message}`, { cause: error })
  }
}
