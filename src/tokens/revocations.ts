/** What has been taken back, as this process knows it: read from the store, kept in memory, asked for each token. */

export interface Revocations {
  isBotDisabled: (name: string) => boolean
  /** Reads the store anew. */
  refresh: () => Promise<void>
}

/** @param readDisabled names of the bots that are switched off */
export function createRevocations (readDisabled: () => Promise<ReadonlySet<string>>): Revocations {
  let disabled: ReadonlySet<string> = new Set()
  return {
    isBotDisabled: name => disabled.has(name),
    refresh: async () => { disabled = await readDisabled() }
  }
}
