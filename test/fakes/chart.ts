/** The Helm chart, rendered by what Helm itself renders with: Go's text/template and sprig, which Debian has (see .ci/run). */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import { temporaryFolder, type Teardown } from './service.ts'

export interface Manifest { apiVersion: string, kind: string, metadata: { name: string, labels?: Record<string, string> }, spec?: Record<string, unknown>, data?: Record<string, string> }
export type Values = Record<string, unknown>

interface Rendering {
  manifests: Manifest[]
  notes: string
}

export interface Chart {
  /** Throws with the template's complaint. @param values over those of values.yaml */
  render: (values: Values) => Rendering
}

export const CHART = new URL('../../deploy/helm/mintmark/', import.meta.url).pathname
const RENDERER = new URL('helm/render.go', import.meta.url).pathname
const GO_LIBRARIES = '/usr/share/gocode'
const RELEASE = { Name: 'mintmark', Namespace: 'tokens', Service: 'Helm' }

/** @returns `null` where nothing is installed that can render it */
export function openChart (t: Teardown): Chart | null {
  if (spawnSync('go', ['version'], { stdio: 'ignore' }).error !== undefined || !existsSync(join(GO_LIBRARIES, 'src/github.com/Masterminds/sprig'))) return null
  const program = join(temporaryFolder(t), 'render')
  execFileSync('go', ['build', '-o', program, RENDERER], { env: { ...process.env, GO111MODULE: 'off', GOPATH: GO_LIBRARIES, GOCACHE: temporaryFolder(t), GOFLAGS: '' } })
  return { render: values => renderedByGo(program, values) }
}

export function defaultValues (): Values {
  return parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Values
}

/** Maps are merged, all else is replaced, as Helm does. */
export function merged (defaults: Values, values: Values): Values {
  return Object.fromEntries([...new Set([...Object.keys(defaults), ...Object.keys(values)])].map(name => {
    const [before, after] = [defaults[name], values[name]]
    return [name, after === undefined ? before : isMap(before) && isMap(after) ? merged(before, after) : after]
  }))
}

const isMap = (value: unknown): value is Values => typeof value === 'object' && value !== null && !Array.isArray(value)

function renderedByGo (program: string, values: Values): Rendering {
  const { name, version, appVersion } = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Record<string, string>
  const input = {
    Chart: { Name: name, Version: version, AppVersion: appVersion },
    Release: RELEASE,
    Values: merged(defaultValues(), values),
    Templates: textsIn('templates'),
    Files: textsIn('files')
  }
  const { status, stdout, stderr } = spawnSync(program, { input: JSON.stringify(input), encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  const { 'templates/NOTES.txt': notes = '', ...rendered } = JSON.parse(stdout) as Record<string, string>
  return { manifests: Object.values(rendered).flatMap(manifestsIn), notes }
}

function textsIn (folder: string): Record<string, string> {
  return Object.fromEntries(readdirSync(join(CHART, folder)).map(name => [`${folder}/${name}`, readFileSync(join(CHART, folder, name), 'utf8')]))
}

function manifestsIn (text: string): Manifest[] {
  return parseAllDocuments(text).flatMap(document => {
    if (document.errors[0]) throw new Error(`${document.errors[0].message}\n${text}`)
    const value = document.toJS() as Manifest | null
    return value === null ? [] : [value]
  })
}
