/**
 * Keeps a token fresh in a file, for pipelines that can only read one. It owns when to renew, how long to bear a refusal, and
 * what to say of it; how a token is fetched, and that a service that is away is waited for, is the token source's business.
 */
import { waitSeconds } from '../client/backoff.ts'
import { TokenUnavailable } from '../client/token-error.ts'
import type { IssuedToken, TokenSource, World } from '../client/token-source.ts'
import type { Log } from '../telemetry/log.ts'

export interface AgentParts {
  source: TokenSource
  /** Called with each new token. */
  save: (issued: IssuedToken) => Promise<void>
  /** Where it is saved, for the log. */
  place: string
  /** Whether {@link Agent.keepFresh} follows. */
  renews: boolean
  log: Log
  signal: AbortSignal
  world: World
}

export interface Agent {
  /** Fetches a token, and saves it. Rejects when waiting would not help, or with the signal's reason. */
  refresh: () => Promise<IssuedToken>
  /** Refreshes whenever it is time, after a first {@link Agent.refresh}; ends only by rejecting, as that does. */
  keepFresh: () => Promise<never>
}

/** So long a refusal may last while the last token is good: a rotated secret takes a while to come to a mounted file. */
const PATIENCE_SECONDS = 300
/** Agents that were started together come apart: by up to this much of a token's life they renew before it is time. */
const JITTER = 0.02
/** A clock may be set, and a machine sleep: it is looked at again this often. */
const NAP_MS = 15_000

export function createAgent ({ source, save, place, renews, log, signal, world: { clock, random, sleep } }: AgentParts): Agent {
  let held: IssuedToken | undefined
  let nextAt = clock()

  async function refresh (): Promise<IssuedToken> {
    held = await persist()
    nextAt = renewalOf(held, random())
    const { expiresAt } = held
    if (renews) log.info({ expiresAt, nextAt }, `a new token is in ${place}; the next one comes at ${nextAt.toISOString()}`)
    else log.info({ expiresAt }, `a token is in ${place}, good until ${expiresAt.toISOString()}`)
    return held
  }

  /** Tries until it is done, or past hope. */
  async function persist (): Promise<IssuedToken> {
    const startedAt = clock()
    for (let failures = 0; ; failures++) {
      try {
        const issued = await source.renew()
        await save(issued)
        return issued
      } catch (error) {
        signal.throwIfAborted()
        // The source has been patient with a service that is away.
        if (error instanceof TokenUnavailable || (failures > 0 && clock() >= givesUpAt(held, startedAt))) throw error
        const waitMs = waitMsAfter(failures, startedAt)
        log.error({ nextTryAt: later(clock(), waitMs), lastTokenExpiresAt: held?.expiresAt }, `no new token: ${(error as Error).message}`)
        await sleep(waitMs, signal)
      }
    }
  }

  /** A last try comes when there is no time left, not later. */
  function waitMsAfter (failures: number, startedAt: Date): number {
    const waitMs = 1000 * waitSeconds(failures + 1, null, random())
    const leftMs = givesUpAt(held, startedAt).getTime() - clock().getTime()
    return leftMs > 0 ? Math.min(waitMs, leftMs) : waitMs
  }

  async function sleepUntil (date: Date): Promise<void> {
    let leftMs = date.getTime() - clock().getTime()
    while (leftMs > 0) {
      const napMs = Math.min(leftMs, NAP_MS)
      await sleep(napMs, signal)
      leftMs = Math.min(leftMs - napMs, date.getTime() - clock().getTime())
    }
  }

  return {
    refresh,

    async keepFresh () {
      for (;;) {
        await sleepUntil(nextAt)
        await refresh()
      }
    }
  }
}

/** After this a refusal is believed, once it was said twice. */
export function givesUpAt (held: IssuedToken | undefined, refusedSince: Date): Date {
  if (!held) return refusedSince
  return new Date(Math.min(held.expiresAt.getTime(), refusedSince.getTime() + PATIENCE_SECONDS * 1000))
}

/** @param random 0 ≤ random < 1 */
export function renewalOf ({ renewAt, expiresAt }: IssuedToken, random: number): Date {
  // From 80 % to the end is a fifth of its life.
  const lifeMs = 5 * (expiresAt.getTime() - renewAt.getTime())
  return later(renewAt, -JITTER * random * lifeMs)
}

function later (date: Date, milliseconds: number): Date {
  return new Date(date.getTime() + milliseconds)
}
