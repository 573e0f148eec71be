/** Debian's nginx, with configurations that we hand out. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryFolder, type Teardown } from './service.ts'

/** Why tests of nginx are skipped, if they are. CI installs it, and has no business to skip. */
export const nginxIsMissing = process.env.CI !== 'true' && spawnSync('nginx', ['-v']).error !== undefined && 'nginx is not installed: apt-get install nginx'

/** Runs nginx in the foreground in a folder of its own, and waits until it listens on `port`. @param configurations for its http block */
export async function startNginx (t: Teardown, port: number, ...configurations: string[]): Promise<void> {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'temp'))
  writeFileSync(join(folder, 'http.conf'), configurations.join('\n'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path temp/${name};`).join(' ')
  writeFileSync(join(folder, 'nginx.conf'), `daemon off; master_process off; pid nginx.pid; error_log stderr warn; events {}
    http { access_log off; ${temporary} include http.conf; }`)

  const nginx = spawn('nginx', ['-p', folder, '-e', 'stderr', '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let complaints = ''
  nginx.stderr.on('data', chunk => { complaints += String(chunk) })
  t.teardown(async () => {
    if (nginx.exitCode !== null) return
    nginx.kill('SIGTERM')
    await once(nginx, 'exit')
  })
  while (!await fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false)) {
    if (nginx.exitCode !== null) throw new Error(`nginx ended: ${complaints}`)
    await sleep(20)
  }
}
