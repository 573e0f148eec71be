/** YAML (and so JSON, too) that people write by hand: what is wrong with it is said by line. */
import { readFileSync } from 'node:fs'
import { isNode, isPair, isMap, LineCounter, parseDocument, stringify, type Document, type Node } from 'yaml'
import { Failed } from './output.ts'

export interface YamlFile {
  content: unknown
  /** `bots.yaml:12`, for a field such as `bots.0.scopes`. */
  placeOf: (field: string) => string
}

/** @param file a path, or `-`: stdin. Throws {@link Failed} with every fault. */
export function readYaml (file: string): YamlFile {
  const lines = new LineCounter()
  const document = parseDocument(readText(file), { lineCounter: lines, prettyErrors: false })
  const name = file === '-' ? 'stdin' : file
  const at = (offset: number): string => `${name}:${lines.linePos(offset).line}`
  if (document.errors.length > 0) throw new Failed(document.errors.map(({ message, pos }) => `${at(pos[0])}: ${message}`).join('\n'))
  return { content: contentOf(document, name), placeOf: field => at(offsetOf(document, field.split('.'))) }
}

export function writeYaml (content: unknown): string {
  return stringify(content, { lineWidth: 0 }).trimEnd()
}

function readText (file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw new Failed(`${file} cannot be read: ${(error as Error).message}`)
  }
}

/** Aliases that multiply are refused by the library. */
function contentOf (document: Document.Parsed, name: string): unknown {
  try {
    return document.toJS() as unknown
  } catch (error) {
    throw new Failed(`${name}: ${(error as Error).message}`)
  }
}

/** Of a field's own key, where it has one; of what it should stand in, where it is missing. */
function offsetOf (document: Document.Parsed, path: readonly string[]): number {
  let found: Node | null = document.contents
  let offset = startOf(found)
  for (const step of path) {
    const next = stepInto(found, step)
    if (!next) break
    offset = next.offset
    found = next.value
  }
  return offset
}

function stepInto (node: Node | null, step: string): { offset: number, value: Node | null } | undefined {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isNode(key) && String(key) === step)
    if (isPair(pair)) return { offset: startOf(pair.key as Node), value: isNode(pair.value) ? pair.value : null }
    return undefined
  }
  const item = node && 'items' in node ? node.items[Number(step)] : undefined
  return isNode(item) ? { offset: startOf(item), value: item } : undefined
}

function startOf (node: Node | null): number {
  return node?.range?.[0] ?? 0
}
