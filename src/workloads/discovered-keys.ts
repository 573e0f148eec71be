import type { ClientKey } from '../bots/bot.ts'
import { discoverKeys, type Fetch } from './discovery.ts'
import { KeysUnavailable, type OnRead, type WorkloadKeys } from './workload-keys.ts'

const REFRESH_SECONDS = 600
const COOLDOWN_SECONDS = 10
const RETRY_SECONDS = 1

/** Keeps what was fetched last, also while the issuer is away. One fetch at a time. */
export function keysByDiscovery (issuer: string, { clock, fetch = globalThis.fetch, onRead }: { clock: () => Date, fetch?: Fetch | undefined, onRead: OnRead }): WorkloadKeys {
  let keys: readonly ClientKey[] | undefined
  let failure: unknown
  let fetching: Promise<void> | undefined
  let fetchedAt = -Infinity
  let quietUntil = -Infinity
  const seconds = (): number => clock().getTime() / 1000

  async function fetchAnew (): Promise<void> {
    const wasFirst = !keys
    try {
      keys = await discoverKeys(issuer, fetch)
      fetchedAt = seconds()
      failure = undefined
    } catch (error) {
      failure = error
    }
    // The key of the next token may be newer than a first fetch that succeeded; but nobody must make us knock all the time.
    quietUntil = seconds() + (!keys ? RETRY_SECONDS : wasFirst ? 0 : COOLDOWN_SECONDS)
    fetching = undefined
    onRead(failure)
  }

  async function ask (): Promise<void> {
    if (!fetching && seconds() < quietUntil) return
    await (fetching ??= fetchAnew())
  }

  function known (): readonly ClientKey[] {
    if (!keys) throw new KeysUnavailable(issuer, failure)
    return keys
  }

  return {
    async read () {
      const age = seconds() - fetchedAt
      if (!keys || (age > 2 * REFRESH_SECONDS && failure === undefined)) await ask()
      else if (age > REFRESH_SECONDS) void ask()
      return known()
    },
    /** While the issuer is away nobody knows whether the key is a new one of its. */
    async readAgain () {
      await ask()
      if (failure !== undefined) throw new KeysUnavailable(issuer, failure)
      return known()
    }
  }
}
