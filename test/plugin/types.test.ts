/** Runs the compiler on a file that must not compile: forgetting a check is an error before anything runs. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import t from 'tap'

const run = promisify(execFile)

await t.test('forgetting audience or clientId does not compile', async t => {
  const expected = readFileSync('test/types/should-not-compile.ts', 'utf8').split('\n')
    .flatMap((line, index) => /\/\/ (TS\d+)$/.exec(line)?.slice(1).map(error => `should-not-compile.ts:${index + 1} ${error}`) ?? [])
  t.ok(expected.length > 5)

  const output = await run(process.execPath, ['node_modules/typescript/bin/tsc', '--pretty', 'false', '-p', 'test/types'])
    .then(() => '', (error: unknown) => (error as { stdout: string }).stdout)
  const found = [...output.matchAll(/^(?:test\/types\/)?(\S+?)\((\d+),\d+\): error (TS\d+)/gm)].map(([, file, line, error]) => `${file ?? ''}:${line ?? ''} ${error ?? ''}`)
  t.strictSame(found.sort(), expected.sort(), 'these lines are refused, and nothing else')
})
