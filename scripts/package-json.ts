/**
 * The package.json that is published, in the place of ours for as long as npm packs. Here TypeScript runs as it is; under
 * node_modules Node.js refuses it, so that a package carries JavaScript, and its exports and its command point there. What is for
 * this checkout only is left out. npm knows one package.json for both: `prepack` turns it, `postpack` turns it back.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'

type Paths = Record<string, string>
type Manifest = Record<string, unknown> & { exports: Paths, bin: Paths }

const OURS = new URL('../package.json', import.meta.url)
const KEPT = new URL('../package.json.kept', import.meta.url)

function published ({ scripts: _, devDependencies: __, allowScripts: ___, ...manifest }: Manifest): Manifest {
  return { ...manifest, exports: built(manifest.exports), bin: built(manifest.bin) }
}

function built (paths: Paths): Paths {
  return Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, path.replace(/^(\.\/)?src\/(.+)\.ts$/, '$1dist/$2.js')]))
}

function turn (): void {
  if (existsSync(KEPT)) throw new Error('package.json.kept is there: packing was interrupted. "node scripts/package-json.ts turn-back" brings package.json back')
  const manifest = JSON.parse(readFileSync(OURS, 'utf8')) as Manifest
  renameSync(OURS, KEPT)
  writeFileSync(OURS, `${JSON.stringify(published(manifest), null, 2)}\n`)
}

function turnBack (): void {
  if (existsSync(KEPT)) renameSync(KEPT, OURS)
}

if (process.argv[2] === 'turn') turn()
else if (process.argv[2] === 'turn-back') turnBack()
else throw new Error('usage: package-json.ts turn|turn-back')
