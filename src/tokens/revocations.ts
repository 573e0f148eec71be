/**
 * What has been taken back, as this process knows it: read from the store, kept in memory, asked for each token.
 * A token is revoked by its id, or all of a bot's at once by a second before which they were issued.
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
}

export interface Revocations {
  isBotDisabled: (name: string) => boolean
  isTokenRevoked: (jti: string) => boolean
  /** Tokens of this bot that were issued before this second are dead; 0: none is. */
  notBefore: (bot: string) => number
  /** True once the store has not been heard of for too long: a revocation may have been missed. */
  isStale: () => boolean
  held: () => HeldRevocations
  /** How many entries are held, of each kind. */
  counts: () => { tokens: number, bots: number, disabled: number }
  /** Reads what has changed in the store since `version`. */
  refresh: (version: number) => Promise<void>
}

/** @param isStale see {@link Revocations} */
export function createRevocations (store: RevocationStore, clock: () => Date, isStale: () => boolean): Revocations {
  let disabled: ReadonlySet<string> = new Set()
  const tokens = new Map<string, number>()
  const bots = new Map<string, { notBefore: number, until: number }>()

  function forgetWhatIsOver (): void {
    const now = clock().getTime() / 1000
    for (const [jti, exp] of tokens) if (exp < now - GRACE_SECONDS) tokens.delete(jti)
    for (const [name, { until }] of bots) if (until < now - GRACE_SECONDS) bots.delete(name)
  }

  return {
    isBotDisabled: name => disabled.has(name),
    isStale,
    isTokenRevoked: jti => tokens.has(jti),
    notBefore: name => bots.get(name)?.notBefore ?? 0,
    held () {
      forgetWhatIsOver()
      return { disabled, tokens, bots }
    },
    counts: () => ({ tokens: tokens.size, bots: bots.size, disabled: disabled.size }),
    async refresh (version) {
      const changes = await store.changedSince(version)
      disabled = changes.disabled
      for (const { jti, exp } of changes.tokens) tokens.set(jti, exp)
      for (const { name, notBefore, until } of changes.bots) bots.set(name, { notBefore, until })
      forgetWhatIsOver()
    }
  }
}

/** Longer than any clock tolerance that makes sense: a token must not come back to life by a clock that lags. */
export const GRACE_SECONDS = 3_600
