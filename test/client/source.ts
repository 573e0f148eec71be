/** A token source under test: its clock is the service's, waiting moves it, and its requests can be counted, or sent to where nobody is. */
import type { Fetch } from '../../src/client/token-request.ts'
import { startTokenSource, type TokenSource, type TokenSourceOptions } from '../../src/client/token-source.ts'
import type { MovableClock } from '../fakes/clock.ts'
import { freePort } from '../fakes/shell.ts'

export interface SourceUnderTest extends TokenSource {
  /** How many requests it has made. */
  requests: () => number
  /** Seconds that it has waited, each time. */
  waits: number[]
  failures: unknown[]
  /** While true, nobody is where it asks. */
  away: boolean
  /** Until what it does behind the back of its callers is done. */
  settled: () => Promise<void>
}

export async function openSource (options: TokenSourceOptions, { clock, advance }: MovableClock): Promise<SourceUnderTest> {
  const nobody = await freePort()
  const made: Array<Promise<unknown>> = []
  const waits: number[] = []
  const failures: unknown[] = []

  const fetch: Fetch = async (input, init) => {
    const address = new URL(input instanceof Request ? input.url : input)
    if (source.away) address.port = String(nobody)
    const response = whole(globalThis.fetch(address, init))
    made.push(response.catch(() => null))
    return await response
  }
  const sleep = async (milliseconds: number): Promise<void> => {
    waits.push(milliseconds / 1000)
    advance(milliseconds / 1000)
  }
  const source: SourceUnderTest = {
    ...startTokenSource({ fetch, onFailure: error => { failures.push(error) }, ...options }, { clock, random: () => 0.5, sleep }),
    requests: () => made.length,
    waits,
    failures,
    away: false,
    async settled () {
      await Promise.all(made)
      await new Promise(resolve => { setImmediate(resolve) }) // what follows from an answer that is here needs no more
    }
  }
  return source
}

async function whole (answer: Promise<Response>): Promise<Response> {
  const response = await answer
  return new Response(await response.text(), response)
}
