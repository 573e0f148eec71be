/** What a route demands of whoever comes: read once, where the route is defined, so that a slip of the pen never opens it. */
import type { Demands } from '../verify/trusted-issuer.ts'

type Given<T> = { [Key in keyof T]: NonNullable<T[Key]> }

/** What `app.authorize` takes. What is left out is not demanded. */
export type RouteDemands = Given<Omit<Demands, 'audience'>>

const isWord = (value: unknown): boolean => typeof value === 'string' && value !== ''
const isListOf = (isGood: (value: unknown) => boolean) => (value: unknown): boolean => Array.isArray(value) && value.length > 0 && value.every(isGood)

/** A demand without a row does not compile. */
const FORMS: Record<keyof RouteDemands, { isGood: (value: unknown) => boolean, form: string }> = {
  kinds: { isGood: isListOf(kind => kind === 'bot' || kind === 'user'), form: 'a list of "bot" and "user"' },
  scopes: { isGood: isListOf(scope => isWord(scope) && !/\s/.test(String(scope))), form: 'a list of scopes, each without blanks' },
  roles: { isGood: isListOf(isWord), form: 'a list of roles' },
  groups: { isGood: isListOf(isWord), form: 'a list of groups' },
  pipelines: { isGood: isListOf(isWord), form: 'a list of pipelines' },
  admin: { isGood: admin => typeof admin === 'boolean', form: 'true or false' }
}

/**
 * @returns a copy, which nobody changes afterwards
 * Throws `TypeError` for a name that is none, and for an empty or undefined value: it would demand nothing, which nobody means.
 */
export function readRouteDemands (given: RouteDemands): RouteDemands {
  if (typeof given !== 'object' || (given as unknown) === null || Array.isArray(given)) throw new TypeError('mintmark: authorize takes an object, such as { scopes: [\'metadata:write\'] }')
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(FORMS, name)) throw new TypeError(`mintmark: authorize knows no "${name}", only ${Object.keys(FORMS).join(', ')}`)
    const { isGood, form } = FORMS[name as keyof RouteDemands]
    if (!isGood(value)) throw new TypeError(`mintmark: ${name} of authorize takes ${form}; leave it out if nothing is demanded`)
  }
  return structuredClone(given)
}
