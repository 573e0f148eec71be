import type { Verifier } from './verifier.ts'
import { VerifyError } from './errors.ts'

/** Has each verification counted, by whom the token speaks for and how it went. */
export function countVerifications (verifier: Verifier, count: (kind: 'bot' | 'legacy' | 'user' | 'unknown', code: string) => void): Verifier {
  return {
    ...verifier,
    async verify (...parameters) {
      try {
        const principal = await verifier.verify(...parameters)
        count(principal.legacy ? 'legacy' : principal.kind, 'ok')
        return principal
      } catch (error) {
        count('unknown', error instanceof VerifyError ? error.code : 'unavailable')
        throw error
      }
    }
  }
}
