/** What deploy/, docs/ and examples/ give an operator: files that parse, and names of settings that exist. */
import { globSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { IGNORED_SETTINGS } from '../scripts/settings-table.ts'
import { SETTINGS } from '../src/settings.ts'
import { examplesOf } from './fakes/examples.ts'

const ROOT = new URL('..', import.meta.url)
const read = (file: string): string => readFileSync(new URL(file, ROOT), 'utf8')
const files = globSync(['*.md', 'deploy/**', 'docs/**', 'examples/**', 'compose*.yaml', 'Dockerfile'], { cwd: ROOT, withFileTypes: true })
  .filter(entry => !entry.isDirectory()).map(entry => `${entry.parentPath}/${entry.name}`.replace(ROOT.pathname, ''))

const known = new Set([...Object.keys(SETTINGS), ...IGNORED_SETTINGS])

await t.test('every setting that they name exists', async t => {
  t.ok(files.length > 30, 'the files were found')
  for (const file of files) {
    const named = read(file).match(/(?<![\w/])(?:MINTMARK|AUTHENTICATION|AUTHORIZER|RSA|JWT)_[A-Z][A-Z_]*[A-Z](?![\w-])/g) ?? []
    const unknown = [...new Set(named)].filter(name => !known.has(name) && !known.has(name.replace(/_FILE$/, '')))
    t.strictSame(unknown, [], file)
  }
})

await t.test('every YAML and JSON parses', async t => {
  const texts = files.flatMap(file => {
    if (/deploy\/helm\/[^/]+\/templates\//.test(file)) return []
    if (/\.(?:ya?ml|json)$/.test(file)) return [{ file, language: file.endsWith('json') ? 'json' : 'yaml', text: read(file) }]
    return file.endsWith('.md') ? examplesOf(read(file)).map(({ language, text }) => ({ file, language, text })) : []
  })
  for (const { file, language, text } of texts.filter(each => ['yaml', 'json'].includes(each.language))) {
    if (language === 'json') t.doesNotThrow(() => JSON.parse(text) as unknown, `${file}: ${text.slice(0, 40)}`)
    else t.strictSame(parseAllDocuments(text).flatMap(document => document.errors.map(({ message }) => message)), [], `${file}: ${text.slice(0, 40)}`)
  }
})
