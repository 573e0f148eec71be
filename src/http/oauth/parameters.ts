/** Parameters of a form (RFC 6749 3.2): one without a value counts as omitted, a repeated one is refused. */
import { OAuthError, printable } from './oauth-error.ts'

export type Form = Record<string, string | string[]>

/** May stand more than once in a request (RFC 8693 2.1, RFC 8707 2). */
const REPEATABLE: readonly string[] = ['audience', 'resource']

export interface Parameters {
  get: (name: string) => string | undefined
  all: (name: string) => string[]
}

/** Throws `invalid_request`. */
export function readParameters (form: Form | null | undefined): Parameters {
  const given = form ?? {}
  for (const name of Object.keys(given)) {
    if (Array.isArray(given[name]) && !REPEATABLE.includes(name)) throw new OAuthError('invalid_request', `${printable(name)} stands more than once`)
  }
  const valuesOf = (name: string): string | string[] | undefined => Object.hasOwn(given, name) ? given[name] : undefined
  return {
    get (name) {
      const values = valuesOf(name)
      return (Array.isArray(values) ? values.find(isThere) : values) || undefined
    },
    all: name => [valuesOf(name) ?? []].flat().filter(isThere)
  }
}

const isThere = (value: string): boolean => value !== ''

/** Throws `invalid_request` if the parameter is missing. */
export function required (parameters: Parameters, name: string, what: string): string {
  const value = parameters.get(name)
  if (value === undefined) throw new OAuthError('invalid_request', `${name} is missing: ${what}`)
  return value
}
