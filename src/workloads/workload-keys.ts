/** The public keys of a platform that vouches for its workloads. Where they are had the settings alone decide, never a token. */
import type { ClientKey } from '../bots/bot.ts'

export interface WorkloadKeys {
  /** The keys as they are known. Throws {@link KeysUnavailable}. */
  read: () => Promise<readonly ClientKey[]>
  /** The keys again, for a token that none of them signed: asks anew, but not soon after it was last asked. */
  readAgain: () => Promise<readonly ClientKey[]>
}

/** There are no keys yet, and none can be had. */
export class KeysUnavailable extends Error {
  constructor (issuer: string, cause: unknown) {
    super(`the keys of ${issuer} cannot be had`, { cause })
    this.name = 'KeysUnavailable'
  }
}

/** Told that keys were read, or why they could not be. */
export type OnRead = (error?: unknown) => void
