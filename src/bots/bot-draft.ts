import type { Bot } from './bot.ts'

/** What may be said of a bot when it is made or changed. */
export type BotDraft = Partial<Pick<Bot, 'displayName' | 'email' | 'roles' | 'scopes' | 'audiences' | 'tokenTtlSeconds' | 'cognitoClientIds' | 'pipelines' | 'jwks' | 'trust' | 'enabled'>>

/** A new bot, with defaults where `draft` is silent. */
export function draftBot (name: string, draft: BotDraft, defaultAudiences: readonly string[], now: Date): Bot {
  return {
    name,
    displayName: null,
    email: null,
    roles: [],
    scopes: [],
    audiences: defaultAudiences,
    tokenTtlSeconds: null,
    cognitoClientIds: [],
    pipelines: [],
    jwks: [],
    trust: [],
    enabled: true,
    ...draft,
    createdAt: now,
    updatedAt: now
  }
}
