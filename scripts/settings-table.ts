/** Writes what derives from the table of settings: the README's table, `.env.example`, and what the Helm chart takes. `npm run settings`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { SETTINGS, type Setting } from '../src/settings.ts'

export const README = new URL('../README.md', import.meta.url)
export const ENV_EXAMPLE = new URL('../.env.example', import.meta.url)
export const VALUES_SCHEMA = new URL('../deploy/helm/mintmark/values.schema.json', import.meta.url)

const MARKED = /(?<=<!-- settings -->\n).*(?=<!-- \/settings -->)/s

/** The chart has values of their own for these. */
const OF_THE_CHART = ['MINTMARK_HOST', 'MINTMARK_PORT', 'MINTMARK_PUBLIC_URL', 'MINTMARK_DATABASE_URL', 'MINTMARK_MASTER_KEY',
  'MINTMARK_URL', 'MINTMARK_CLIENT_ID', 'MINTMARK_CLIENT_SECRET']
/** OpenMetadata's guide sets these beside those that mean something here. */
export const IGNORED_SETTINGS = ['AUTHORIZER_CLASS_NAME', 'AUTHORIZER_REQUEST_FILTER']

const settings: ReadonlyArray<[name: string, setting: Setting<unknown>]> = Object.entries(SETTINGS)

/** @returns `readme` with the table of settings between its markers. Throws if it has none. */
export function withSettingsTable (readme: string): string {
  if (!MARKED.test(readme)) throw new Error('the README has no <!-- settings --> … <!-- /settings -->')
  return readme.replace(MARKED, () => settingsTable())
}

/** @returns `.env.example`: each setting with its meaning and default, switched off. */
export function envExample (): string {
  const head = [
    '# Settings of mintmark, each with its default. Copy this file to .env and take the # away from what you change.',
    '# A variable that is set in the environment wins over this file. Empty means unset.',
    '# NAME_FILE=/run/secrets/x stands for NAME: keep secrets out of this file.'
  ]
  const entries = settings.map(([name, { takes, meaning, fallback, fallbackShown }]) => [
    `# ${meaning.replaceAll('`', '')}`,
    `# (${takes}${fallbackShown === undefined ? '' : `; unset: ${fallbackShown}`})`,
    `#${name}=${fallback ?? ''}`
  ])
  return [head, ...entries].map(lines => lines.join('\n')).join('\n\n') + '\n'
}

/** @returns the chart's `schema` with each setting that it hands on, and no other. */
export function withChartSettings (schema: string): string {
  const parsed = JSON.parse(schema) as { properties: { settings: { properties: object } } }
  const described = Object.fromEntries(settings.map(([name, { meaning, takes }]) => [name, { type: ['string', 'boolean'], description: `${meaning.replaceAll('`', '')} (${takes})` }]))
  const ignored = Object.fromEntries(IGNORED_SETTINGS.map(name => [name, { type: ['string', 'boolean'], description: 'of OpenMetadata; ignored here' }]))
  for (const name of OF_THE_CHART) Reflect.deleteProperty(described, name)
  parsed.properties.settings.properties = { ...described, ...ignored }
  return `${JSON.stringify(parsed, null, 2)}\n`
}

function settingsTable (): string {
  const rows = settings.map(([name, { takes, meaning, ...setting }]) =>
    `| \`${name}\` | ${shownDefault(setting)} | ${meaning} | ${takes} |\n`)
  return `| variable | default | meaning | takes |\n|---|---|---|---|\n${rows.join('')}`
}

function shownDefault ({ fallback, fallbackShown }: Pick<Setting<unknown>, 'fallback' | 'fallbackShown'>): string {
  if (fallback !== null) return `\`${fallback}\``
  return fallbackShown?.replaceAll('<', '&lt;') ?? 'unset'
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(README, withSettingsTable(readFileSync(README, 'utf8')))
  writeFileSync(ENV_EXAMPLE, envExample())
  writeFileSync(VALUES_SCHEMA, withChartSettings(readFileSync(VALUES_SCHEMA, 'utf8')))
}
