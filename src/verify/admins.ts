/** Who is an admin. Nobody is by default. */
import type { CognitoUser } from './cognito-tokens.ts'

export interface AdminPolicy {
  /** Our own issuer: a bot's token must be meant for it. */
  issuer: string
  /** Cognito groups. */
  groups: readonly string[]
  /** A `sub`, a whole e-mail address, or a bare name that stands for `<name>@<principal domain>`. */
  principals: readonly string[]
  principalDomain: string
}

export const ADMIN_SCOPE = 'admin'

export interface AdminRules {
  isAdminUser: (user: CognitoUser) => boolean
  isAdminBot: (bot: { scopes: readonly string[], audience: readonly string[] }) => boolean
}

export function createAdminRules ({ issuer, groups, principals, principalDomain }: AdminPolicy): AdminRules {
  const domain = principalDomain.toLowerCase()
  const entries = new Set(principals.map(entry => entry.toLowerCase()))

  return {
    isAdminUser ({ subject, groups: memberOf, verifiedEmail }) {
      const names = [subject.toLowerCase(), verifiedEmail, bareName(verifiedEmail, domain)]
      return memberOf.some(group => groups.includes(group)) || names.some(name => name !== null && entries.has(name))
    },

    isAdminBot ({ scopes, audience }) {
      return scopes.includes(ADMIN_SCOPE) && audience.includes(issuer)
    }
  }
}

function bareName (email: string | null, domain: string): string | null {
  return email?.endsWith(`@${domain}`) ? email.slice(0, -domain.length - 1) : null
}
