/** `mintmark verify`: what every door would make of a token, check by check. */
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { Explanation } from '../verify/explanation.ts'
import { judgeSignature } from '../verify/signature.ts'
import { print, subcommand, table, type OutputOptions } from './output.ts'
import { withParts } from './with-parts.ts'

export function addVerifyCommand (program: Command): void {
  subcommand(program, 'verify', 'explain what becomes of a token; exit 1 if it is refused')
    .argument('[token]', 'the token; "-" or nothing: read it from stdin, which keeps it out of the process list', '-')
    .action(async (given: string, options: OutputOptions) => {
      const token = (given === '-' ? await text(process.stdin) : given).trim()
      const explanation = await withParts(async ({ verifier }) => await verifier.explain(token, judgeSignature))
      print(options, explanation, describe(explanation))
      if (!explanation.active) process.exitCode = 1
    })
}

const MARKS = { passed: 'ok', failed: 'FAILED', skipped: '-' } as const

function describe ({ active, code, principal, checks }: Explanation): string {
  const verdict = active ? `good: ${principal?.kind ?? ''} ${principal?.name ?? ''}, until ${principal?.expiresAt ?? 'its key ends'}` : `refused: ${code ?? ''}`
  const rows = checks.map(check => [check.name, MARKS[check.outcome], check.found ?? ''])
  const failed = checks.find(check => check.outcome === 'failed')
  const help = failed ? ['', ...(failed.expected === undefined ? [] : [`Expected: ${failed.expected}`]), `What to do: ${failed.advice ?? ''}`] : []
  return [verdict, '', table(rows), ...help].join('\n')
}
