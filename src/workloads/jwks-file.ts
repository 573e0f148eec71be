/** Keys in a file: read anew when it changes, as when a ConfigMap is. */
import { readFile, stat } from 'node:fs/promises'
import type { ClientKey } from '../bots/bot.ts'
import { LARGEST_DOCUMENT_BYTES, readJwks } from './jwks.ts'
import { KeysUnavailable, type OnRead, type WorkloadKeys } from './workload-keys.ts'

/** @param onRead told when the file was read, and when it could not be: once for each reason */
export function keysInFile (issuer: string, file: string, onRead: OnRead): WorkloadKeys {
  let known: { stamp: string, keys: readonly ClientKey[] } | undefined
  let complaint: string | undefined

  async function look (): Promise<void> {
    const { ino, size, mtimeNs } = await stat(file, { bigint: true })
    const stamp = `${ino} ${size} ${mtimeNs}`
    if (stamp === known?.stamp) return
    if (size > LARGEST_DOCUMENT_BYTES) throw new Error(`${file} is larger than ${LARGEST_DOCUMENT_BYTES} bytes`)
    known = { stamp, keys: readJwks(await readFile(file, 'utf8')) }
    complaint = undefined
    onRead()
  }

  /** A file that is being written, or is gone, leaves the keys as they were. */
  async function read (): Promise<readonly ClientKey[]> {
    let failure: unknown
    await look().catch((error: unknown) => {
      failure = error
      const message = String(error)
      if (message !== complaint) onRead(error)
      complaint = message
    })
    if (!known) throw new KeysUnavailable(issuer, failure)
    return known.keys
  }

  return { read, readAgain: read }
}
