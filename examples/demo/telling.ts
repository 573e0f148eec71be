/** Tells the story on the terminal: each step's title, what was asked, what came back. Colour on a terminal only. */
import { styleText } from 'node:util'

/** What a step says while it runs. */
export interface Say {
  asked: (what: string) => void
  got: (what: string) => void
}

/** Runs `act`, and shows it as done or as failed. Throws what `act` throws. */
export type Step = <T>(title: string, act: (say: Say) => Promise<T>) => Promise<T>

export interface Telling {
  step: Step
  /** How many steps did what they say, and how long all took. */
  summary: () => string
}

export function createTelling (print: (text: string) => void): Telling {
  const startedAt = performance.now()
  let begun = 0
  let done = 0

  const step: Step = async (title, act) => {
    const number = String(++begun).padStart(2)
    const lines: string[] = []
    const show = (mark: string): void => { print([`${mark} ${styleText('bold', `${number}  ${title}`)}`, ...lines, ''].join('\n')) }
    try {
      const result = await act({
        asked: what => { lines.push(`      ${styleText('dim', `→ ${what}`)}`) },
        got: what => { lines.push(`      ← ${what}`) }
      })
      done++
      show(styleText('green', '✓'))
      return result
    } catch (error) {
      show(styleText('red', '✗'))
      throw error
    }
  }

  return {
    step,
    summary: () => `${done} of ${begun} steps did what they say, in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`
  }
}

/** Enough of a token, a secret or a kid to tell it from another, and too little to use it. */
export function short (secret: string): string {
  return `${secret.slice(0, 4)}…${secret.slice(-4)}`
}
