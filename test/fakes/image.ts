/**
 * What the Dockerfile makes, without Docker: its last stage carried out in a folder, and run from there as its user. Packages are those
 * of this checkout that package-lock.json does not call development's.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, globSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DockerfileParser, type Instruction, type JSONInstruction, type PropertyInstruction } from 'dockerfile-ast'
import { temporaryFolder, type Teardown } from './service.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const isRoot = process.getuid?.() === 0

export interface Image {
  /** What a container has as `/`. */
  root: string
  /** `ENV` of the Dockerfile. */
  environment: Record<string, string>
  /** What `docker run` starts. */
  command: string[]
  healthcheck: string[]
}

export interface Ran { code: number | null, stdout: string, stderr: string }

export const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')

/** Whether Docker sends a file of this checkout to the builder: the last line of .dockerignore that fits rules. */
export function isInContext (file: string): boolean {
  const folders = file.split('/').map((_, index, names) => names.slice(0, index + 1).join('/'))
  const lines = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return lines.reduce((kept, line) => folders.some(folder => patternOf(line).test(folder)) ? line.startsWith('!') : kept, true)
}

/** In .dockerignore, `*` is any name, also one that begins with a dot. */
const patternOf = (line: string): RegExp => new RegExp(`^${line.replace(/^!/, '').replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`)

/** Instructions of the last stage, by their keyword. */
export function lastStage (): { all: Instruction[], of: (keyword: string) => Instruction[], json: (keyword: string) => string[] } {
  const instructions = DockerfileParser.parse(dockerfile).getInstructions()
  const all = instructions.slice(instructions.findLastIndex(each => each.getKeyword() === 'FROM'))
  const of = (keyword: string): Instruction[] => all.filter(each => each.getKeyword() === keyword)
  return { all, of, json: keyword => of(keyword).flatMap(each => isJson(each) ? each.getJSONStrings().map(word => word.getJSONValue()) : []) }
}

const isJson = (instruction: Instruction): instruction is JSONInstruction => 'getJSONStrings' in instruction
const hasProperties = (instruction: Instruction): instruction is PropertyInstruction => 'getProperties' in instruction

export function buildImage (t: Teardown): Image {
  const root = temporaryFolder(t)
  chmodSync(root, 0o755)
  mkdirSync(join(root, 'usr/local/bin'), { recursive: true })
  const { all, of, json } = lastStage()
  for (const instruction of all) {
    const words = instruction.getArguments().map(word => word.getValue())
    if (instruction.getKeyword() === 'COPY') copy(root, words)
    // Its paths are the image's, and only root can give files away.
    if (instruction.getKeyword() === 'RUN') execFileSync('sh', ['-ec', words.join(' ').replaceAll(/(?<= )(?=\/)/g, root).replaceAll(isRoot ? /$^/g : / -[og] 1000\b/g, '')])
  }
  execFileSync('chmod', ['-R', 'a-w', join(root, 'app'), join(root, 'usr')])
  t.teardown(() => { execFileSync('chmod', ['-R', 'u+w', root]) })
  const variables = of('ENV').flatMap(each => hasProperties(each) ? each.getProperties().map(property => [property.getName(), property.getValue()]) : [])
  return { root, environment: Object.fromEntries(variables) as Record<string, string>, command: [...json('ENTRYPOINT'), ...json('CMD')], healthcheck: healthcheckOf(of('HEALTHCHECK')) }
}

function copy (root: string, words: string[]): void {
  const [sources, target = ''] = [words.slice(0, -1), words.at(-1)]
  for (const source of sources) {
    if (source.endsWith('node_modules')) linkProductionPackages(join(root, target))
    else if (isInContext(source)) cpSync(join(ROOT, source), join(root, target.endsWith('/') ? join(target, source) : target), { recursive: true })
    else throw new Error(`COPY ${source}: .dockerignore leaves it out`)
  }
}

/** `npm ci --omit=dev`, as far as it goes without a network. */
function linkProductionPackages (folder: string): void {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as { packages: Record<string, { dev?: true, optional?: true }> }
  for (const [path, { dev }] of Object.entries(packages)) {
    const [, name, ...nested] = path.split(/(?:^|\/)node_modules\//)
    if (name === undefined || nested.length > 0 || dev) continue
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    symlinkSync(join(ROOT, path), join(folder, name))
  }
}

function healthcheckOf ([instruction]: Instruction[]): string[] {
  return JSON.parse(/CMD (\[.*\])$/s.exec(instruction?.getRawArgumentsContent() ?? '')?.[1] ?? '[]') as string[]
}

/** Starts a command in a container, so to speak: in its folder, with its variables and these. @param uid as `docker run --user` */
export function start (image: Image, [program = '', ...words]: string[], environment: Record<string, string>, uid = 1000): ChildProcess {
  const path = [join(image.root, 'usr/local/bin'), dirname(process.execPath), '/usr/bin', '/bin'].join(':')
  const user = isRoot ? { uid, gid: uid } : {}
  // By env, since tap gives every program that it starts a task of its own, for which this user may not write here.
  const variables = Object.entries({ PATH: path, ...image.environment, ...environment }).map(([name, value]) => `${name}=${value}`)
  return spawn('/usr/bin/env', ['-i', ...variables, program, ...words], { ...user, cwd: image.root, stdio: ['ignore', 'pipe', 'pipe'] })
}

export async function ended (child: ChildProcess): Promise<Ran> {
  const ran: Ran = { code: null, stdout: '', stderr: '' }
  child.stdout?.on('data', chunk => { ran.stdout += String(chunk) })
  child.stderr?.on('data', chunk => { ran.stderr += String(chunk) })
  const [code] = await once(child, 'close') as [number | null]
  return { ...ran, code }
}

/** Why nothing can be run as the image's user, if so: this checkout may lie where nobody else may look. */
export const cannotRun = isRoot && spawnSync(process.execPath, ['--version'], { uid: 1000, gid: 1000 }).status !== 0 && 'uid 1000 may not run Node.js from here'

/** Every file of the checkout but its packages. */
export const checkoutFiles = (): string[] => globSync('**', { cwd: ROOT, exclude: name => ['node_modules', '.git', '.tap'].includes(name) })
