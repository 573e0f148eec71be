import type { AssertionStore } from '../../src/bots/assertion-log.ts'

export function memoryAssertionStore (): AssertionStore {
  const used = new Map<string, number>()
  return {
    async use (bot, jti, until) {
      const key = JSON.stringify([bot, jti])
      if (used.has(key)) return false
      used.set(key, until)
      return true
    },
    async forget (second) {
      for (const [key, until] of used) if (until < second) used.delete(key)
    }
  }
}
