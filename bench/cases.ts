/** The table of what is to be reached, row by row: what is measured, and against whom. */
import { setTimeout as sleep } from 'node:timers/promises'
import { load, type Requests } from './load.ts'
import type { Case, Contender } from './measuring.ts'
import type { Ours } from './ours.ts'
import { startPeer, urlOfPeer } from './peers.ts'
import { isThere, run, runAside, SERVER_CORE, CLIENT_CORE, type Program } from './programs.ts'

const OURS = 'mintmark'
const KNOWN_TOKENS = 10_000
/** More than a server verifies while it is measured: no token comes twice. */
const NEW_TOKENS = 44_000

export interface Setting {
  ours: Ours
  seconds: number
}

/** Makes what the case needs, and gives it. */
export type CaseMaker = (setting: Setting) => Promise<Case>

interface Served {
  start: () => Promise<Program>
  url: string
  requests: Requests
  warmUp?: Requests
  /** How many at least; a slow machine takes longer for them. */
  warmUpRequests?: number
  by?: 'core' | 'wall clock'
  /** Started for each measurement, where it must not remember the one before. */
  anew?: boolean
}

/** Answers of a server: for each second that it had the core, or on the wall. */
function served (name: string, { start, url, requests, warmUp = requests, warmUpRequests = 4_000, by = 'core', anew = false }: Served, { ours: { folder }, seconds }: Setting): Contender {
  let program: Program | undefined

  async function open (): Promise<void> {
    program = await start()
    for (let done = 0; done < warmUpRequests;) done += (await load(url, warmUp, { seconds: 1, folder })).requests
  }

  async function close (): Promise<void> {
    await program?.stop()
    program = undefined
  }

  async function measure (): Promise<number> {
    const before = program?.cpuSeconds() ?? NaN
    const { requests: answered, perSecond, refused } = await load(url, requests, { seconds, folder })
    if (refused > 0) throw new Error(`${name} refused ${refused} requests`)
    return by === 'wall clock' ? perSecond : answered / ((program?.cpuSeconds() ?? NaN) - before)
  }

  if (!anew) return { name, open, measure, close }
  return {
    name,
    async measure () {
      await open()
      try {
        return await measure()
      } finally {
        await close()
      }
    },
    close
  }
}

function verifying (setting: Setting, peers: readonly string[], requests: Requests, warmUp?: Requests): Contender[] {
  const { ours } = setting
  const there = peers.filter(peer => peer !== 'HAProxy' || isThere('haproxy'))
  const load = { requests, ...warmUp && { warmUp, anew: true }, warmUpRequests: warmUp ? 30_000 : 80_000 }
  return [
    served(OURS, { start: async () => await ours.serve(), url: ours.url, ...load }, setting),
    ...there.map(peer => served(peer, { start: async () => await startPeer(peer, ours), url: urlOfPeer(peer), ...load }, setting))
  ]
}

const auth = (tokens: string): Requests => ({ method: 'GET', path: '/auth', tokens })

export const CASES: Record<string, CaseMaker> = {
  'auth-known': async setting => ({
    row: 1,
    name: 'auth-known',
    title: 'GET /auth, 10,000 known tokens in rotation',
    unit: 'requests/s',
    goals: [{ rival: 'bare', least: 0.70 }, { rival: 'by hand, cached', least: 0.92 }, { rival: 'HAProxy', least: 1.7 }],
    contenders: verifying(setting, ['bare', 'by hand, cached', '@fastify/jwt, cached', 'HAProxy'], auth(await setting.ours.mintTo('known', KNOWN_TOKENS)))
  }),

  'verify-known': async setting => ({
    row: 2,
    name: 'verify-known',
    title: 'POST /verify, the same tokens, the whole principal in the answer',
    unit: 'requests/s',
    goals: [{ rival: 'bare', least: 0.70 }],
    contenders: verifying(setting, ['bare', 'by hand, cached'], { method: 'POST', path: '/verify', headers: { 'Content-Type': 'application/json' }, body: '{}', tokens: await setting.ours.mintTo('known', KNOWN_TOKENS) })
  }),

  'auth-new': async setting => ({
    row: 3,
    name: 'auth-new',
    title: 'GET /auth, every token new',
    unit: 'requests/s',
    goals: [{ rival: 'by hand', least: 0.95 }, { rival: '@fastify/jwt', least: 1.4 }, { rival: 'HAProxy', least: 0.65 }],
    contenders: verifying({ ...setting, seconds: 2 }, ['by hand', '@fastify/jwt', 'HAProxy', 'jose', 'aws-jwt-verify'], auth(await setting.ours.mintTo('new', NEW_TOKENS)), auth(await setting.ours.mintTo('known', KNOWN_TOKENS)))
  }),

  'plugin-known': async setting => await inProcess(setting, 'plugin-known', 'The plugin in process, known tokens', ['bot known', 'user known', 'raw'], [{ rival: null, most: 1_500 }]),
  'plugin-new': async setting => await inProcess(setting, 'plugin-new', 'The plugin in process, new bot tokens', ['bot new', 'raw'], [{ rival: 'raw', most: 1.35 }]),
  'plugin-new-user': async setting => await inProcess(setting, 'plugin-new-user', 'The plugin in process, new Cognito tokens', ['user new', 'raw'], [{ rival: 'raw', most: 2.5 }]),

  mint: async setting => {
    const { ours } = setting
    const asking = (client: { clientId: string, clientSecret: string }, path: string): Requests => ({ method: 'POST', path, headers: { Authorization: `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}`, 'Content-Type': 'application/x-www-form-urlencoded' }, body: 'grant_type=client_credentials' })
    const ask = asking(ours.client, '/oauth/token')
    return {
      row: 5,
      name: 'mint',
      title: 'POST /oauth/token: client authentication, throttle, metrics and log included',
      unit: 'tokens/s',
      goals: [{ rival: 'openssl speed', least: 0.70 }, { rival: 'oidc-provider', least: 1.3 }],
      contenders: [
        served(OURS, { start: async () => await ours.serve(), url: ours.url, requests: ask }, setting),
        { name: 'openssl speed', measure: async () => signsPerSecond(setting.seconds) },
        served('oidc-provider', { start: async () => await startPeer('oidc-provider', ours), url: urlOfPeer('oidc-provider'), requests: asking({ clientId: 'ingestion-bot', clientSecret: 'a-secret-of-some-length' }, '/token') }, setting)
      ]
    }
  },

  start: async ({ ours }) => ({
    row: 7,
    name: 'start',
    title: 'From the start to ready, on an existing database',
    unit: 'ms of CPU time',
    goals: [{ rival: 'bare', most: 3 }],
    contenders: [starting(OURS, async () => await ours.serve()), starting('bare', async () => await startPeer('bare', ours))]
  }),

  memory: async ({ ours }) => ({
    row: 7,
    name: 'memory',
    title: 'Resident memory, idle',
    unit: 'MiB',
    goals: [{ rival: null, most: 120 }],
    contenders: [{
      name: OURS,
      async measure () {
        const program = await ours.serve()
        await sleep(3_000)
        const resident = program.residentMiB()
        await program.stop()
        return resident
      }
    }]
  }),

  'mint-on-two-cores': async setting => {
    const { ours } = setting
    const { clientId, clientSecret } = ours.client
    const requests: Requests = { method: 'POST', path: '/oauth/token', headers: { Authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`, 'Content-Type': 'application/x-www-form-urlencoded' }, body: 'grant_type=client_credentials' }
    return {
      row: 5,
      name: 'mint-on-two-cores',
      title: 'POST /oauth/token, two workers on two cores, one of which wrk shares',
      unit: 'tokens/s',
      goals: [{ rival: 'one core', least: 1.8 }],
      contenders: [
        served('two workers', { start: async () => await ours.serve({ cores: `${SERVER_CORE},${CLIENT_CORE}`, environment: { MINTMARK_WORKERS: '2' } }), url: ours.url, requests, by: 'wall clock', anew: true }, setting),
        served('one core', { start: async () => await ours.serve(), url: ours.url, requests, by: 'wall clock', anew: true }, setting)
      ]
    }
  }
}

/** From the start of the process until it is ready, in CPU time, which a busy machine does not stretch. */
function starting (name: string, start: () => Promise<Program>): Contender {
  return {
    name,
    async measure () {
      const program = await start()
      const seconds = program.cpuSeconds()
      await program.stop()
      return seconds * 1000
    }
  }
}

async function inProcess ({ ours }: Setting, name: string, title: string, whats: readonly string[], goals: Case['goals']): Promise<Case> {
  const tokens = await ours.mintTo('known', KNOWN_TOKENS)
  return {
    row: 4,
    name,
    title,
    unit: 'ns',
    goals,
    contenders: whats.map(what => ({
      name: what,
      async measure () {
        const issuer = await ours.serve({ cores: CLIENT_CORE })
        try {
          return Number(await runAside(SERVER_CORE, ['node', 'bench/in-process.ts', what, ours.config.issuer, tokens]))
        } finally {
          await issuer.stop()
        }
      }
    }))
  }
}

/** Of user time, as openssl counts. */
function signsPerSecond (seconds: number): number {
  const line = run(SERVER_CORE, ['openssl', 'speed', '-mr', '-seconds', String(seconds), 'rsa2048']).split('\n').find(text => text.startsWith('+F2:'))
  return Number(line?.split(':')[3] ?? NaN)
}
