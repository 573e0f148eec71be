/** The file that a pipeline reads its token from: there is always a whole one in it. */
import { randomUUID } from 'node:crypto'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

export const OWNER_ONLY = 0o600

/**
 * Puts `token` in the place of what is there, as one step: a reader sees the old one or the new one. The new file is made in the
 * same folder, which may be a mount of its own; a link in its place is replaced, never followed. When this returns, it is on disk.
 * @param mode exactly, whatever the umask is
 */
export async function writeTokenFile (file: string, token: string, mode: number): Promise<void> {
  const folder = dirname(file)
  const beside = join(folder, `.${basename(file)}.${randomUUID()}`)
  const made = await open(beside, 'wx', OWNER_ONLY) // wx: whatever somebody has put there is not written to
  try {
    await fill(made, token, mode)
    await rename(beside, file)
  } catch (error) {
    await rm(beside, { force: true })
    throw error
  }
  await syncFolder(folder)
}

async function fill (made: FileHandle, token: string, mode: number): Promise<void> {
  try {
    await made.chmod(mode)
    await made.writeFile(token)
    await made.sync()
  } finally {
    await made.close()
  }
}

/** Not every file system can do that for a folder; the file itself is on disk. */
async function syncFolder (folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null)
  await handle?.sync().catch(() => null)
  await handle?.close()
}
