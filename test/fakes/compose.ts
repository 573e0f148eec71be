/** compose.yaml, as Compose reads it, and its nginx. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { startNames } from './names.ts'
import { startNginx } from './nginx.ts'
import type { Teardown } from './service.ts'
import { freePort } from './shell.ts'

export interface Service {
  image: string
  build?: string
  environment?: Record<string, string>
  ports?: string[]
  volumes?: string[]
  networks: string[]
  cap_add?: string[]
}

interface Compose {
  services: Record<string, Service>
  secrets: Record<string, { file: string }>
  networks: Record<string, { internal?: boolean, ipam?: { config: Array<{ subnet: string }> } } | null>
}

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

export const compose = parse(read('compose.yaml'), { merge: true }) as Compose
export const nginxConfiguration = read('deploy/docker/nginx.conf')

/** What mintmark's containers get beside the env file. @param secret where a secret's file is, instead of /run/secrets */
export function composeEnvironment (secret: (name: string) => string = name => `/run/secrets/${name}`): Record<string, string> {
  const given = Object.entries(compose.services.mintmark?.environment ?? {})
  return Object.fromEntries(given.map(([name, value]) => [name, value
    .replace(/^\$\{\w+:-(.*)\}$/, '$1')
    .replace(/^\/run\/secrets\/(.*)$/, (_, file: string) => secret(file))]))
}

interface Ports {
  /** nginx, for mintmark. */
  mintmark: number
  /** nginx, for the API. */
  api: number
  /** Each replica. */
  replica: number
}

/** Starts the nginx of compose.yaml over the stand-in for an API. @param replicas addresses that the name mintmark stands for */
export async function startFront (t: Teardown, ports: Ports, replicas: string[]): Promise<void> {
  const standIn = await freePort()
  const names = await startNames(t, { mintmark: replicas, 'metadata-api': ['127.0.0.1'] })
  await startNginx(t, ports.mintmark,
    nginxConfiguration
      .replace('resolver 127.0.0.11 ', `resolver 127.0.0.1:${names} `)
      .replace('listen 8590;', `listen 127.0.0.1:${ports.mintmark};`)
      .replace('listen 8585;', `listen 127.0.0.1:${ports.api};`)
      .replaceAll('mintmark:8590;', `mintmark:${ports.replica};`)
      .replace('metadata-api:8585;', `metadata-api:${standIn};`),
    read('deploy/docker/metadata-api.conf').replace('listen 8585;', `listen 127.0.0.1:${standIn};`))
}
