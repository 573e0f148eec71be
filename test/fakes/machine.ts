/**
 * A machine for docs/deploy-bare-metal.md: its folders are folders of the test, and `sudo`, `systemctl`, `systemd-run` are stand-ins
 * that do with the unit's own lines what the page needs of systemd: settings, credential, working directory, start and stop.
 */
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder, type Teardown } from './service.ts'

const ROOT = new URL('../..', import.meta.url).pathname

export interface Machine {
  /** Where the page's commands run. */
  folder: string
  /** What they find on their path first. */
  programs: string
  /** The page's own folders, in its text, become the test's. */
  relocate: (text: string) => string
}

const SUDO = 'exec "$@"'

/** Runs as `systemd-run` what mintmarkctl gives it. */
const SYSTEMD_RUN = `
export CREDENTIALS_DIRECTORY=$(mktemp -d)
while [[ $1 == --* ]]; do
  case $1 in
    --property=WorkingDirectory=*) cd "\${1#*=*=}" ;;
    --property=EnvironmentFile=*) set -a; . <(read_env "\${1#*=*=}"); set +a ;;
    --property=LoadCredential=*) value=\${1#*=*=}; cp "\${value#*:}" "$CREDENTIALS_DIRECTORY/\${value%%:*}" ;;
  esac
  shift
done
exec "$@"`

/** \`enable --now\`, \`start\` and \`stop\` of the one unit; all else has nothing to do here. */
const SYSTEMCTL = `
unit=UNIT
of() { sed -n "s/^$1=//p" "$unit"; }
case "$*" in
  'restart mintmark') "$0" stop mintmark; exec "$0" start mintmark ;;
  'stop mintmark') kill -TERM "$(cat PID)"; while kill -0 "$(cat PID)" 2>/dev/null; do sleep 0.05; done ;;
  'enable --now mintmark' | 'start mintmark')
    state=STATE/mintmark
    for directory in $(of StateDirectory); do mkdir -p "STATE/$directory"; done
    export CREDENTIALS_DIRECTORY=$(mktemp -d)
    value=$(of LoadCredential); cp "\${value#*:}" "$CREDENTIALS_DIRECTORY/\${value%%:*}"
    set -a; . <(read_env "$(of EnvironmentFile)"); set +a
    while read -r variable; do export "\${variable//%d/$CREDENTIALS_DIRECTORY}"; done < <(of Environment | tr -d '"')
    cd "$state"
    $(of ExecStart) >LOG 2>&1 </dev/null &
    echo $! >PID ;;
esac`

/** As systemd reads a file of settings: no comment after a value, so that what stands there is a part of it. */
const READ_ENV = 'sed -nE "s/^([A-Z_]+)=(.*)$/\\1\\t\\2/p" "$1" | while IFS=$\'\\t\' read -r name value; do printf \'%s=%q\\n\' "$name" "$value"; done'

export function bareMachine (t: Teardown): Machine {
  const folder = temporaryFolder(t)
  const programs = join(folder, 'programs')
  const within = (path: string): string => join(folder, path)
  const relocate = (text: string): string => text
    .replaceAll('/usr/local/bin/mintmarkctl', join(programs, 'mintmarkctl'))
    .replaceAll(/(?<![\w/])\/(opt|etc\/mintmark|etc\/systemd|usr\/lib\/sysusers\.d|var\/lib)\b/g, (path: string) => within(path))
  for (const path of ['opt/mintmark-0.1.0/bin', 'etc/systemd/system', 'var/lib', 'programs']) mkdirSync(within(path), { recursive: true })
  cpSync(join(ROOT, 'deploy'), within('deploy'), { recursive: true })
  for (const name of ['mintmark.service', 'mintmarkctl']) {
    const file = join(folder, 'deploy/systemd', name)
    writeFileSync(file, relocate(readFileSync(file, 'utf8')))
  }

  const paths: Record<string, string> = { UNIT: within('etc/systemd/system/mintmark.service'), STATE: within('var/lib'), PID: within('pid'), LOG: within('log') }
  const placed = Object.entries(paths).reduce((text, [name, path]) => text.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), path), SYSTEMCTL)
  const stand = (path: string, script: string): void => {
    writeFileSync(path, `#!/bin/bash\nset -euo pipefail\n${script}\n`)
    chmodSync(path, 0o755)
  }
  for (const [name, script] of Object.entries({ sudo: SUDO, read_env: READ_ENV, 'systemd-run': SYSTEMD_RUN, systemctl: placed, 'systemd-sysusers': '', chown: '' })) stand(join(programs, name), script)
  stand(within('opt/mintmark-0.1.0/bin/mintmark'), `exec ${process.execPath} ${join(ROOT, 'src/cli.ts')} "$@"`)
  t.teardown(async () => {
    try { process.kill(Number(readFileSync(within('pid'), 'utf8')), 'SIGTERM') } catch { /* it never started, or has ended */ }
  })
  return { folder, programs, relocate }
}
