/** The examples of a page: run one after the other in one shell, and held to what the page says that they answer. */
import type { Test } from 'tap'
import type { Checkout } from './shell.ts'

export interface Example {
  language: string
  text: string
  /** The heading that it stands under. */
  heading: string
}

/** Every fenced block of a page that names its language, also those in lists. */
export function examplesOf (page: string): Example[] {
  let heading = ''
  return [...page.matchAll(/^#+ ([^\n]+)$|^( *)```([a-z]+)\n(.*?)^\2```$/gms)].flatMap(([, title, indent = '', language = '', text = '']) => {
    if (title === undefined) return [{ language, heading, text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), '') }]
    heading = title
    return []
  })
}

/** Runs those in `sh`. Each must succeed, and answer what follows it. */
export async function runExamples (t: Pick<Test, 'match' | 'equal' | 'notMatch'>, checkout: Pick<Checkout, 'bash'>, examples: readonly Example[]): Promise<void> {
  const script = examples.map(({ language, text }, place) => language === 'sh' ? `echo; echo "example ${place}"\n${text}` : '').join('\n')
  const { exitCode, stdout, stderr } = await checkout.bash(script)
  t.equal(exitCode, 0, 'every command succeeds', { stdout, stderr })
  for (const [, place, output = ''] of stdout.matchAll(/^example (\d+)\n(.*?)(?=^example \d+\n|(?![^]))/gms)) {
    compare(t, output.trim(), examples[Number(place)], examples[Number(place) + 1])
  }
}

/** What follows an example is what it answers, as far as it goes; `…` stands for any text. A failure must be announced. */
function compare (t: Pick<Test, 'match' | 'equal' | 'notMatch'>, output: string, example: Example | undefined, announced: Example | undefined): void {
  const command = example?.text ?? ''
  if (announced?.language === 'json') {
    const expected: unknown = JSON.parse(announced.text, (_, value: unknown) => value === '…' ? /./ : value)
    t.match(JSON.parse(output), expected, command)
  } else {
    if (announced?.language === 'text') t.equal(output, announced.text.trim(), command)
    t.notMatch(output, /urn:mintmark:|"error"/, command)
  }
}
