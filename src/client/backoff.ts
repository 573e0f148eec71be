/** How long to wait before the next try. */

const FIRST_SECONDS = 1
const LONGEST_SECONDS = 30
/** A proxy may ask for days; the service behind it never asks for more than a minute, and is back sooner. */
const LONGEST_ASKED_SECONDS = 60

/**
 * Twice as long after each failure, half of it by chance, so that many clients do not come back together; never sooner than asked for.
 * @param failures that there were before this one
 * @param random 0 ≤ random < 1
 */
export function waitSeconds (failures: number, askedSeconds: number | null, random: number): number {
  const ours = Math.min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** failures)
  const asked = Math.min(LONGEST_ASKED_SECONDS, askedSeconds ?? 0)
  return Math.max(ours / 2, asked) + random * ours / 2
}
