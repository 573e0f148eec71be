/**
 * `npm run bench`: measures all, writes RESULTS.md and a plot. `npm run bench -- auth-known mint --rounds 5 --seconds 4`: these only,
 * and writes nothing.
 */
import { parseArgs } from 'node:util'
import { CASES } from './cases.ts'
import { measureByTurns, type Measured } from './measuring.ts'
import { prepareOurs, type Ours, type Size } from './ours.ts'
import { isThere, keepAwake } from './programs.ts'
import { describe, writeResults } from './results.ts'

const FIRST_OTHER_PORT = 18_591

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '3' } }
})
const names = positionals.length > 0 ? positionals : Object.keys(CASES)
const unknown = names.filter(name => !Object.hasOwn(CASES, name))
if (unknown.length > 0) throw new Error(`there is no case ${unknown.join(', ')}, only ${Object.keys(CASES).join(', ')}`)
if (!isThere('wrk')) throw new Error('wrk makes the load: install it (apt-get install wrk)')
for (const peer of ['haproxy', 'openssl', 'taskset']) if (!isThere(peer)) console.log(`${peer} is not here: what takes it is left out`)

const isAwake = keepAwake()
if (!isAwake) console.log('cores that wait may halt here (that they do not takes Linux and root): ratios are worse, and less sure')

const ours = await prepareOurs()
const others = new Map<string, Promise<Ours>>()

async function another (name: string, size: Size): Promise<Ours> {
  const known = others.get(name) ?? prepareOurs(FIRST_OTHER_PORT + others.size, size)
  others.set(name, known)
  return await known
}

const measured: Measured[] = []
try {
  for (const name of names) {
    const each = await CASES[name]?.({ ours, another, seconds: Number(values.seconds) })
    if (!each) continue
    measured.push(await measureByTurns(each, Number(values.rounds), line => { console.log(line) }))
    console.log(`\n${describe(measured.slice(-1))}`)
    if (positionals.length === 0) writeResults(measured, { rounds: Number(values.rounds), seconds: Number(values.seconds), isAwake })
  }
} finally {
  for (const each of [ours, ...await Promise.all(others.values())]) await each.close()
}
