import type { Clock } from '../../src/keys/signing-key.ts'

/** A clock that moves only when a test moves it. */
export interface MovableClock {
  clock: Clock
  /** @param seconds how far; may be a fraction */
  advance: (seconds: number) => void
}

export function movableClock (start = new Date('2026-11-22T10:00:00.000Z')): MovableClock {
  let now = start.getTime()
  return {
    clock: () => new Date(now),
    advance (seconds) { now += Math.round(seconds * 1000) }
  }
}
