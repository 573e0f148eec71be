/** Secrets that are used although their end is near: somebody has to give whoever uses them the new one. */
import type { StoredSecret } from './bot.ts'

/** What an end is that is near. */
export const NEAR_SECONDS = 7 * 86_400
const SAY_EVERY_SECONDS = 3_600
const MOST_REMEMBERED = 10_000

export interface ExpiringSecrets {
  /** To be told of each use. @returns true if it is time to say so: once an hour for each secret */
  used: (secret: StoredSecret) => boolean
}

/** @param onUse told of each use of a secret that ends soon */
export function createExpiringSecrets (clock: () => Date, onUse: () => void): ExpiringSecrets {
  const saidAt = new Map<string, number>()
  return {
    used (secret) {
      const now = clock().getTime() / 1000
      if (!endsSoon(secret, clock())) return false
      onUse()
      if (now < (saidAt.get(secret.id) ?? -Infinity) + SAY_EVERY_SECONDS) return false
      saidAt.delete(secret.id)
      saidAt.set(secret.id, now)
      const [oldest] = saidAt.size > MOST_REMEMBERED ? saidAt.keys() : []
      if (oldest !== undefined) saidAt.delete(oldest)
      return true
    }
  }
}

function endsSoon ({ expiresAt }: Pick<StoredSecret, 'expiresAt'>, now: Date): boolean {
  return expiresAt !== null && expiresAt.getTime() <= now.getTime() + NEAR_SECONDS * 1000
}
