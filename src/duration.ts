/** Durations as settings, requests and answers write them: `90s`, `15m`, `24h`, `30d`. */

const SECONDS_PER = { d: 86_400, h: 3_600, m: 60, s: 1 } as const

/** Above this many seconds a date would leave the range that JavaScript and SQL agree on. */
const LONGEST_SECONDS = 100 * 365 * 86_400

export const DURATION_PATTERN = '^[0-9]{1,10}[smhd]$'
export const DURATION_FORM = 'a duration such as 90s, 15m, 24h or 30d'

/**
 * Reads a duration.
 * @returns whole seconds, or `null` if `text` is not a duration or is shorter than `atLeastSeconds`
 */
export function parseDuration (text: string, atLeastSeconds = 1): number | null {
  if (!new RegExp(DURATION_PATTERN).test(text)) return null
  const seconds = Number(text.slice(0, -1)) * SECONDS_PER[text.slice(-1) as keyof typeof SECONDS_PER]
  return seconds >= atLeastSeconds && seconds <= LONGEST_SECONDS ? seconds : null
}

/** Writes whole seconds in the largest unit that holds them exactly. */
export function formatDuration (seconds: number): string {
  for (const [unit, length] of Object.entries(SECONDS_PER)) {
    if (seconds >= length && seconds % length === 0) return `${seconds / length}${unit}`
  }
  return `${seconds}s`
}
