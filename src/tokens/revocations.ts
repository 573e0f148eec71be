/**
 * What has been taken back, as this process knows it: read from the store, kept in memory, asked for each token.
 * A token is revoked by its id, or with all that a bot got for one run, or all of a bot's at once by a second before which they were issued.
 * What would have expired anyway is forgotten.
 */

/** All times in seconds since the epoch, as claims have them. */
export interface RevocationChanges {
  /** Names of the bots that are switched off: all of them. */
  readonly disabled: ReadonlySet<string>
  /** Changed since: tokens, by `jti`, until their `exp`. */
  readonly tokens: ReadonlyArray<{ readonly jti: string, readonly exp: number }>
  /** Changed since: bots whose tokens issued before a second are dead; the entry may be forgotten at `until`. */
  readonly bots: ReadonlyArray<{ readonly name: string, readonly notBefore: number, readonly until: number }>
  /** Changed since. */
  readonly runs: readonly RevokedRun[]
}

/** A run whose tokens are dead; the entry may be forgotten at `until`, when the last of them is over. */
export interface RevokedRun {
  readonly bot: string
  readonly run: string
  readonly until: number
}

/** Where revocations are kept. Throws `StoreUnavailable`. */
export interface RevocationStore {
  /** @param version of the store that is known already; 0: none */
  changedSince: (version: number) => Promise<RevocationChanges>
}

/** All that is held. */
export interface HeldRevocations {
  readonly disabled: ReadonlySet<string>
  /** `exp` by `jti`. */
  readonly tokens: ReadonlyMap<string, number>
  readonly bots: ReadonlyMap<string, { readonly notBefore: number, readonly until: number }>
  readonly runs: readonly RevokedRun[]
}

export interface Revocations {
  isBotDisabled: (name: string) => boolean
  isTokenRevoked: (jti: string) => boolean
  isRunRevoked: (bot: string, run: string) => boolean
  /** Tokens of this bot that were issued before this second are dead; 0: none is. */
  notBefore: (bot: string) => number
  /** Stands for all that is held: another object after each refresh. What is only forgotten changes nothing. */
  edition: () => object
  /** True once the store has not been heard of for too long: a revocation may have been missed. */
  isStale: (now?: Date) => boolean
  held: () => HeldRevocations
  /** How many entries are held, of each kind. */
  counts: () => { tokens: number, bots: number, runs: number, disabled: number }
  /** Reads what has changed in the store since `version`. */
  refresh: (version: number) => Promise<void>
}

/** @param isStale see {@link Revocations} */
export function createRevocations (store: RevocationStore, clock: () => Date, isStale: (now?: Date) => boolean): Revocations {
  let disabled: ReadonlySet<string> = new Set()
  const tokens = new Map<string, number>()
  const bots = new Map<string, { notBefore: number, until: number }>()
  const runs = new Map<string, RevokedRun>()
  let edition = {}

  function forgetWhatIsOver (): void {
    const now = clock().getTime() / 1000
    for (const [jti, exp] of tokens) if (exp < now - GRACE_SECONDS) tokens.delete(jti)
    for (const [name, { until }] of bots) if (until < now - GRACE_SECONDS) bots.delete(name)
    for (const [key, { until }] of runs) if (until < now - GRACE_SECONDS) runs.delete(key)
  }

  return {
    isBotDisabled: name => disabled.has(name),
    isStale,
    isTokenRevoked: jti => tokens.has(jti),
    isRunRevoked: (bot, run) => runs.has(keyOf(bot, run)),
    notBefore: name => bots.get(name)?.notBefore ?? 0,
    edition: () => edition,
    held () {
      forgetWhatIsOver()
      return { disabled, tokens, bots, runs: [...runs.values()] }
    },
    counts: () => ({ tokens: tokens.size, bots: bots.size, runs: runs.size, disabled: disabled.size }),
    async refresh (version) {
      const changes = await store.changedSince(version)
      edition = {}
      disabled = changes.disabled
      for (const { jti, exp } of changes.tokens) tokens.set(jti, exp)
      for (const { name, notBefore, until } of changes.bots) bots.set(name, { notBefore, until })
      for (const { bot, run, until } of changes.runs) runs.set(keyOf(bot, run), { bot, run, until })
      forgetWhatIsOver()
    }
  }
}

/** A name has no blank. */
const keyOf = (bot: string, run: string): string => `${bot} ${run}`

/** Longer than any clock tolerance that makes sense: a token must not come back to life by a clock that lags. */
export const GRACE_SECONDS = 3_600
