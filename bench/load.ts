/** Load by wrk: one thread, requests that were made beforehand, one after the other. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CLIENT_CORE, runAside } from './programs.ts'

export interface Requests {
  method: 'GET' | 'POST'
  path: string
  headers?: Record<string, string>
  body?: string
  /** A file of tokens, or of what else `scheme` takes, one a line: each request takes the next one into its Authorization header. */
  tokens?: string
  scheme?: 'Bearer' | 'Basic'
}

export interface Load {
  perSecond: number
  /** Milliseconds. */
  p50: number
  p99: number
  /** Answers that were not 2xx or 3xx. */
  refused: number
  requests: number
}

const CONNECTIONS = 32
let loads = 0

/** Throws if a socket failed: then something else was measured. @param folder for the script of the load */
export async function load (url: string, requests: Requests, { seconds, folder, cores = CLIENT_CORE, connections = CONNECTIONS }: { seconds: number, folder: string, cores?: string, connections?: number }): Promise<Load> {
  const script = join(folder, `load-${++loads}.lua`) // two may run side by side
  writeFileSync(script, scriptOf(requests))
  const text = await runAside(cores, ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', script, url])
  const [, requestsDone, microseconds, p50, p99, status, socket] = /RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)/.exec(text)?.map(Number) ?? []
  if (socket !== 0) throw new Error(`wrk met ${socket ?? '?'} socket errors:\n${text}`)
  return { requests: requestsDone ?? NaN, perSecond: (requestsDone ?? NaN) / ((microseconds ?? NaN) / 1e6), p50: (p50 ?? NaN) / 1000, p99: (p99 ?? NaN) / 1000, refused: status ?? NaN }
}

function scriptOf ({ method, path, headers = {}, body, tokens, scheme = 'Bearer' }: Requests): string {
  const table = Object.entries(headers).map(([name, value]) => `headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`).join('; ')
  return `
local made, at = {}, 0
function init ()
  local headers = {}
  ${table}
  local function make () made[#made + 1] = wrk.format(${JSON.stringify(method)}, ${JSON.stringify(path)}, headers, ${body === undefined ? 'nil' : JSON.stringify(body)}) end
  ${tokens === undefined ? 'make()' : `for token in io.lines(${JSON.stringify(tokens)}) do headers["Authorization"] = "${scheme} " .. token; make() end`}
end
function request ()
  at = at % #made + 1
  return made[at]
end
function done (summary, latency)
  local e = summary.errors
  print(string.format("RESULT %d %d %d %d %d %d", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
`
}
