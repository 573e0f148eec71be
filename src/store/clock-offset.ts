/** What an operator hears of a machine whose clock is off: the service corrects for it, other programs on it do not. */
import type { Log } from '../telemetry/log.ts'

/** Tokens count in whole seconds, and no two machines agree to the millisecond. */
const UNNOTICED_MS = 500

/** @returns a sentence, or `null` if the clocks agree well enough */
export function describeOffset (offsetMs: number, toleranceSeconds: number): string | null {
  if (Math.abs(offsetMs) <= Math.max(toleranceSeconds * 1000, UNNOTICED_MS)) return null
  return `the clock of this machine differs from the database's by ${Math.round(offsetMs / 100) / 10} s, more than MINTMARK_CLOCK_TOLERANCE: set it by NTP`
}

/** Says so once when the clocks begin to differ, and once when they agree again. @returns what to tell of each look */
export function createOffsetNotice (log: Pick<Log, 'info' | 'warn'>, toleranceSeconds: number): (offsetMs: number) => void {
  let isOff = false
  return offsetMs => {
    const fault = describeOffset(offsetMs, toleranceSeconds)
    if (fault !== null && !isOff) log.warn({ clockOffsetMs: Math.round(offsetMs) }, fault)
    if (fault === null && isOff) log.info('the clock of this machine agrees with the database\'s again')
    isOff = fault !== null
  }
}
