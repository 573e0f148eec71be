/** The table of what is to be reached, row by row: what is measured, and against whom. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { load, type Load, type Requests } from './load.ts'
import type { Case, Contender } from './measuring.ts'
import type { Ours, Size } from './ours.ts'
import { startPeer, urlOfPeer } from './peers.ts'
import { isThere, run, runAside, SERVER_CORE, CLIENT_CORE, type Program } from './programs.ts'

const OURS = 'mintmark'
const KNOWN_TOKENS = 10_000
/** More than a server verifies while it is measured: no token comes twice. */
const NEW_TOKENS = 50_000
const WARM_UP_TOKENS = 60_000

export interface Setting {
  ours: Ours
  /** Another installation, as large as is said; made once. */
  another: (name: string, size: Size) => Promise<Ours>
  seconds: number
}

const GROWN: Size = { bots: 100_000, revocations: 100_000, keys: 12 }

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
  connections?: number
  /** Started for each measurement, where it must not remember the one before. */
  anew?: boolean
}

/** Answers of a server: for each second that it had the core, or on the wall. */
function served (name: string, { start, url, requests, warmUp = requests, warmUpRequests = 20_000, by = 'core', connections, anew = false }: Served, { ours: { folder }, seconds }: Setting): Contender {
  let program: Program | undefined

  async function open (): Promise<void> {
    program = await start()
    for (let done = 0; done < warmUpRequests;) done += (await load(url, warmUp, { seconds: 1, folder, ...connections && { connections } })).requests
  }

  async function close (): Promise<void> {
    await program?.stop()
    program = undefined
  }

  async function measure (): Promise<number> {
    const before = program?.cpuSeconds() ?? NaN
    const { requests: answered, perSecond, refused } = await load(url, requests, { seconds, folder, ...connections && { connections } })
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
  const load = { requests, ...warmUp && { warmUp, anew: true }, warmUpRequests: warmUp ? WARM_UP_TOKENS : 80_000 }
  return [
    served(OURS, { start: async () => await ours.serve(), url: ours.url, ...load }, setting),
    ...there.map(peer => served(peer, { start: async () => await startPeer(peer, ours), url: urlOfPeer(peer), ...load }, setting))
  ]
}

const auth = (tokens: string): Requests => ({ method: 'GET', path: '/auth', tokens })
const verify = (tokens: string): Requests => ({ method: 'POST', path: '/verify', headers: { 'Content-Type': 'application/json' }, body: '{}', tokens })

const ONE_CLIENT = { clientId: 'ingestion-bot', clientSecret: 'a-secret-of-some-length' }

const TOKEN_REQUEST: Requests = { method: 'POST', path: '/oauth/token', headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: 'grant_type=client_credentials' }

function asking (client: { clientId: string, clientSecret: string }, path = TOKEN_REQUEST.path): Requests {
  return { ...TOKEN_REQUEST, path, headers: { ...TOKEN_REQUEST.headers, Authorization: `Basic ${basicOf(client)}` } }
}

/** All bots of a grown installation ask by turns. */
function allAsking ({ client, write }: Ours): Requests {
  const clients = Array.from({ length: GROWN.bots }, (_, number) => basicOf({ ...client, clientId: `bot-${number + 1}` }))
  return { ...TOKEN_REQUEST, tokens: write('clients', clients), scheme: 'Basic' }
}

function basicOf ({ clientId, clientSecret }: { clientId: string, clientSecret: string }): string {
  return Buffer.from(`${clientId}:${clientSecret}`).toString('base64')
}

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
    contenders: verifying(setting, ['bare', 'by hand, cached'], verify(await setting.ours.mintTo('known', KNOWN_TOKENS)))
  }),

  'auth-new': async setting => ({
    row: 3,
    name: 'auth-new',
    title: 'GET /auth, every token new',
    unit: 'requests/s',
    goals: [{ rival: 'by hand', least: 0.95 }, { rival: '@fastify/jwt', least: 1.4 }, { rival: 'HAProxy', least: 0.65 }],
    contenders: verifying({ ...setting, seconds: 2 }, ['by hand', '@fastify/jwt', 'HAProxy', 'jose', 'aws-jwt-verify'], auth(await setting.ours.mintTo('new', NEW_TOKENS)), auth(await warmUpOf(setting.ours)))
  }),

  'plugin-known': async setting => await inProcess(setting, 'plugin-known', 'The plugin in process, known tokens', ['bot known', 'user known', 'raw'], [{ rival: null, most: 1_500 }]),
  'plugin-new': async setting => await inProcess(setting, 'plugin-new', 'The plugin in process, new bot tokens', ['bot new', 'raw'], [{ rival: 'raw', most: 1.35 }]),
  'plugin-new-user': async setting => await inProcess(setting, 'plugin-new-user', 'The plugin in process, new Cognito tokens', ['user new', 'raw'], [{ rival: 'raw', most: 2.5 }]),

  mint: async setting => {
    const { ours } = setting
    return {
      row: 5,
      name: 'mint',
      title: 'POST /oauth/token: client authentication, throttle, metrics and log included',
      unit: 'tokens/s',
      goals: [{ rival: 'openssl speed', least: 0.70 }, { rival: 'oidc-provider', least: 1.3 }],
      contenders: [
        served(OURS, { start: async () => await ours.serve(), url: ours.url, requests: asking(ours.client) }, setting),
        { name: 'openssl speed', measure: async () => signsPerSecond(setting.seconds) },
        served('oidc-provider', { start: async () => await startPeer('oidc-provider', ours), url: urlOfPeer('oidc-provider'), requests: asking(ONE_CLIENT, '/token') }, setting)
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

  'growth-auth-known': async setting => await growth(setting, 'growth-auth-known', 'GET /auth, known tokens', async ours => auth(await knownOf(ours))),
  'growth-verify-known': async setting => await growth(setting, 'growth-verify-known', 'POST /verify, known tokens', async ours => verify(await knownOf(ours))),
  'growth-auth-new': async setting => await growth({ ...setting, seconds: 2 }, 'growth-auth-new', 'GET /auth, every token new', async ours => auth(await ours.mintTo('new', NEW_TOKENS, botsOf(ours))), async ours => auth(await warmUpOf(ours))),
  'growth-mint': async setting => await growth(setting, 'growth-mint', 'POST /oauth/token, all bots by turns', async ours => isGrown(ours) ? allAsking(ours) : asking(ours.client)),

  'growth-plugin-known': async setting => {
    const grown = await setting.another('grown', GROWN)
    return {
      row: 6,
      name: 'growth-plugin-known',
      title: `The plugin in process, known bot tokens: ${SIZES}`,
      unit: 'ns',
      goals: [{ rival: 'one bot', most: 1.1 }],
      contenders: [await inPlugin('grown', grown, 'bot known', KNOWN_TOKENS), await inPlugin('one bot', setting.ours, 'bot known', KNOWN_TOKENS)]
    }
  },

  'memory-under-load': async setting => {
    const grown = await setting.another('grown', GROWN)
    const everyToken = auth(await grown.mintTo('every', GROWN.bots, GROWN.bots))
    const everyClient = allAsking(grown)
    return {
      row: 7,
      name: 'memory-under-load',
      title: 'Resident memory, after a token of each of 100,000 bots was verified, and while each asks for another',
      unit: 'MiB',
      goals: [{ rival: null, most: 400 }],
      contenders: [{
        name: OURS,
        async measure () {
          const program = await grown.serve()
          for (let done = 0; done < 1.2 * GROWN.bots;) done += (await load(grown.url, everyToken, { seconds: 2, folder: grown.folder })).requests
          const underWay = load(grown.url, everyClient, { seconds: 8, folder: grown.folder })
          let resident = 0
          for (let second = 0; second < 8; second++) {
            await sleep(1_000)
            resident = Math.max(resident, program.residentMiB())
          }
          await underWay
          await program.stop()
          return resident
        }
      }]
    }
  },

  tail: async setting => {
    const rotating = await setting.another('rotating', { bots: 0, revocations: 0, keys: 2 })
    const known = linesOf(await rotating.mintTo('known', KNOWN_TOKENS))
    const mixOf = async (name: string, count: number): Promise<Requests> => {
      const fresh = linesOf(await rotating.mintTo(name, count))
      return auth(rotating.write(`${name}-mixed`, fresh.flatMap((token, place) => [...Array.from({ length: 18 }, (_, more) => known[(place * 18 + more) % known.length] ?? ''), token, `${token.slice(0, -8)}AAAAAAAA`])))
    }
    const warmUp = await mixOf('warm-up', WARM_UP_TOKENS / 6)
    const mixed = await mixOf('new', NEW_TOKENS / 2)
    const under = async (requests: Requests, seconds: number): Promise<Load> => {
      const [of] = await Promise.all([load(rotating.url, requests, { seconds, folder: rotating.folder }), load(rotating.url, asking(rotating.client), { seconds, folder: rotating.folder, connections: 2 })])
      return of
    }
    const contender = (name: string, doing: () => Promise<void>): Contender => ({
      name,
      async measure () {
        const program = await rotating.serve()
        await under(warmUp, 8)
        const underWay = under(mixed, 10)
        await sleep(3_000)
        await doing()
        const { p50, p99 } = await underWay
        await program.stop()
        return p99 / p50
      }
    })
    return {
      row: 8,
      name: 'tail',
      title: 'p99 of GET /auth over 10 seconds as a multiple of p50: of 20 tokens 18 known, one new, one bad, beside two clients that ask for tokens all the time',
      unit: '× p50',
      goals: [{ rival: null, most: 5 }, { rival: 'with a rotation', least: 0.8 }],
      contenders: [contender(OURS, async () => { /* nothing happens */ }), contender('with a rotation', async () => {
        const { ok, status } = await fetch(`${rotating.url}/admin/keys/rotate`, { method: 'POST', headers: { authorization: `Bearer ${await rotating.adminToken()}`, 'content-type': 'application/json' }, body: '{"force":true}' })
        if (!ok) throw new Error(`no rotation: ${status}`)
      })]
    }
  },

  'mint-on-two-cores': async setting => {
    const { ours } = setting
    // wrk gets its turns late on a core that is busy: fewer connections would leave workers without work.
    const asked = { url: ours.url, requests: asking(ours.client), by: 'wall clock', connections: 128, anew: true } as const
    return {
      row: 5,
      name: 'mint-on-two-cores',
      title: 'POST /oauth/token, two workers on two cores, one of which wrk shares',
      unit: 'tokens/s',
      goals: [{ rival: 'one core', least: 1.8 }],
      contenders: [
        served('two workers', { start: async () => await ours.serve({ cores: `${SERVER_CORE},${CLIENT_CORE}`, environment: { MINTMARK_WORKERS: '2' } }), ...asked }, setting),
        served('one core', { start: async () => await ours.serve(), ...asked }, setting)
      ]
    }
  }
}

const SIZES = '100,000 bots, 100,000 revocations and 12 keys, beside one bot, none and 2'
const linesOf = (file: string): string[] => readFileSync(file, 'utf8').split('\n')
const isGrown = (ours: Ours): boolean => ours.parts.ring.all().length >= GROWN.keys
const botsOf = (ours: Ours): number => isGrown(ours) ? GROWN.bots : 0
const knownOf = async (ours: Ours): Promise<string> => await ours.mintTo('known', KNOWN_TOKENS, botsOf(ours))
/** New ones, too, so that what is measured has been done before; and others, so that they are new. */
const warmUpOf = async (ours: Ours): Promise<string> => await ours.mintTo('warm-up', WARM_UP_TOKENS, botsOf(ours))

/** The same work at a small installation and at a large one. */
async function growth (setting: Setting, name: string, title: string, requestsOf: (ours: Ours) => Promise<Requests>, warming?: (ours: Ours) => Promise<Requests>): Promise<Case> {
  const at = async (who: string, ours: Ours): Promise<Contender> => {
    const warmUp = await warming?.(ours)
    return served(who, { start: async () => await ours.serve(), url: ours.url, requests: await requestsOf(ours), ...warmUp && { warmUp, anew: true }, warmUpRequests: warmUp ? WARM_UP_TOKENS : 40_000 }, setting)
  }
  return {
    row: 6,
    name,
    title: `${title}: ${SIZES}`,
    unit: 'requests/s',
    goals: [{ rival: 'one bot', least: 0.9 }],
    contenders: [await at('grown', await setting.another('grown', GROWN)), await at('one bot', setting.ours)]
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
  const contenders: Contender[] = []
  // Of what is new the first half warms up, as it does where a server is measured: V8's own threads compile meanwhile, and count too.
  for (const what of whats) contenders.push(await inPlugin(what, ours, what, what === 'bot new' || what === 'raw' ? 2 * WARM_UP_TOKENS : KNOWN_TOKENS))
  return { row: 4, name, title, unit: 'ns', goals, contenders }
}

/** @param what see in-process.ts */
async function inPlugin (name: string, ours: Ours, what: string, count: number): Promise<Contender> {
  const tokens = await ours.mintTo(`tokens-${count}`, count, botsOf(ours))
  return {
    name,
    async measure () {
      const issuer = await ours.serve({ cores: CLIENT_CORE })
      try {
        return Number(await runAside(SERVER_CORE, ['node', 'bench/in-process.ts', what, ours.config.issuer, tokens]))
      } finally {
        await issuer.stop()
      }
    }
  }
}

/** Of user time, as openssl counts. */
function signsPerSecond (seconds: number): number {
  const line = run(SERVER_CORE, ['openssl', 'speed', '-mr', '-seconds', String(seconds), 'rsa2048']).split('\n').find(text => text.startsWith('+F2:'))
  return Number(line?.split(':')[3] ?? NaN)
}
