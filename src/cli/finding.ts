/** What `mintmark doctor` finds: one sentence, and what to do about it. */

export interface Finding {
  check: string
  outcome: 'ok' | 'warning' | 'failed'
  found: string
  advice?: string
}

export const ok = (check: string, found: string): Finding => ({ check, outcome: 'ok', found })
export const warn = (check: string, found: string, advice: string): Finding => ({ check, outcome: 'warning', found, advice })
export const failed = (check: string, found: string, advice: string): Finding => ({ check, outcome: 'failed', found, advice })
