/** Fetches ahead of need, in the background: evenly while that works, ever more rarely while it does not. */

export interface Pace {
  /** Between two fetches that work. */
  everySeconds: () => number
  /** Between two that fail, in the end. */
  longestPauseSeconds: number
}

/** Many processes that started together must not come together for ever: up to a fifth earlier, and after failures up to half. */
const JITTER = 0.2
const JITTER_AFTER_FAILURE = 0.5

/** @param random from 0 up to 1 */
export function pauseSeconds (failures: number, { everySeconds, longestPauseSeconds }: Pace, random: number): number {
  if (failures === 0) return everySeconds() * (1 - JITTER * random)
  return Math.min(2 ** (failures - 1), longestPauseSeconds) * (1 - JITTER_AFTER_FAILURE * random)
}

export type StartTimer = (run: () => void, milliseconds: number) => () => void

const startUnrefTimer: StartTimer = (run, milliseconds) => {
  const timer = setTimeout(run, milliseconds).unref()
  return () => { clearTimeout(timer) }
}

/**
 * Fetches at once, and then again and again; one at a time. Holds no process.
 * @param refresh tells whether it worked; never throws
 * @returns a function that ends it
 */
export function keepFresh (refresh: () => Promise<boolean>, pace: Pace, startTimer = startUnrefTimer, random = Math.random): () => void {
  let failures = 0
  let isOver = false
  let stopTimer = (): void => { /* none runs yet */ }

  async function turn (): Promise<void> {
    failures = await refresh() ? 0 : failures + 1
    if (!isOver) stopTimer = startTimer(() => { void turn() }, pauseSeconds(failures, pace, random()) * 1000)
  }

  void turn()
  return () => {
    isOver = true
    stopTimer()
  }
}
