/** Writes refused admin calls to the audit trail, at most so many a minute for each principal: whoever is refused must not fill our disk. */
import type { AuditDraft, AuditTrail } from './audit.ts'

export interface RefusedCalls {
  note: (call: AuditDraft) => void
  /** Writes what is still only counted. */
  close: () => Promise<void>
}

const ROWS_A_MINUTE = 10
const MINUTE_MS = 60_000

interface Window {
  startedAt: number
  rows: number
  /** Calls beyond the limit, and the latest of them. */
  more: number
  last: AuditDraft
}

export function createRefusedCalls (parts: { audit: AuditTrail, clock: () => Date, onFailure: (error: unknown) => void }): RefusedCalls {
  const { audit, clock, onFailure } = parts
  const windows = new Map<string, Window>()
  const writing = new Set<Promise<void>>()

  function write (call: AuditDraft): void {
    const written = audit.append([call]).catch(onFailure).finally(() => { writing.delete(written) })
    writing.add(written)
  }

  function end (key: string, window: Window): void {
    windows.delete(key)
    if (window.more > 0) write({ ...window.last, detail: { ...window.last.detail, more: window.more } })
  }

  function endOld (now: number): void {
    for (const [key, window] of windows) if (now - window.startedAt >= MINUTE_MS) end(key, window)
  }

  const timer = setInterval(() => { endOld(clock().getTime()) }, MINUTE_MS / 4).unref()

  return {
    note (call) {
      const now = clock().getTime()
      endOld(now)
      const key = `${call.actor.kind} ${call.actor.name}`
      const window = windows.get(key) ?? { startedAt: now, rows: 0, more: 0, last: call }
      windows.set(key, window)
      window.last = call
      if (window.rows < ROWS_A_MINUTE) {
        window.rows++
        write(call)
      } else {
        window.more++
      }
    },

    async close () {
      clearInterval(timer)
      for (const [key, window] of [...windows]) end(key, window)
      await Promise.all(writing)
    }
  }
}
