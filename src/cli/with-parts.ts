import { configFromProcess } from '../config.ts'
import { openParts, type OpenOptions, type Parts } from '../parts.ts'
import { createLog } from '../telemetry/log.ts'

/** Opens the database of the settings, does `work`, and closes it. */
export async function withParts<T> (work: (parts: Parts) => Promise<T>, options: OpenOptions = {}): Promise<T> {
  const parts = await openParts(configFromProcess(), createLog('error', process.stderr), options)
  try {
    return await work(parts)
  } finally {
    await parts.close()
  }
}
