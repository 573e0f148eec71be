/** Everything that a browser sees: headers that keep other sites out, the session behind the cookie, the sign-in, the pages. */
import { randomBytes } from 'node:crypto'
import cookie from '@fastify/cookie'
import csrf from '@fastify/csrf-protection'
import formbody from '@fastify/formbody'
import helmet from '@fastify/helmet'
import session, { type FastifySessionOptions } from '@fastify/session'
import type { FastifyPluginAsync } from 'fastify'
import { pages } from './pages.ts'
import type { Settings } from './settings.ts'
import { signIn } from './sign-in.ts'
import type { Tables } from './tables.ts'
import type { UserPool } from './user-pool.ts'
import { addViews } from './views.ts'

export interface BrowserOptions {
  settings: Settings
  tables: Tables
  sessions: NonNullable<FastifySessionOptions['store']>
  userPool: UserPool
  clock: () => Date
}

const TWELVE_HOURS_MS = 12 * 3600_000

export const browser: FastifyPluginAsync<BrowserOptions> = async (app, { settings, tables, sessions, userPool, clock }) => {
  const secure = settings.callbackUrl.protocol === 'https:'
  /** With this prefix a browser takes the cookie from this host alone, over https alone. */
  const cookieName = secure ? '__Host-session' : 'session'

  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ['\'none\''], styleSrc: ['\'self\''], formAction: ['\'self\''], frameAncestors: ['\'none\''], baseUri: ['\'none\''] }
    }
  })
  await app.register(formbody)
  await app.register(cookie)
  await app.register(session, {
    store: sessions,
    secret: settings.sessionSecret ?? randomBytes(32).toString('base64url'),
    cookieName,
    // Lax, not strict: the hosted UI, another site, sends people back here, and the session has to know them.
    cookie: { httpOnly: true, sameSite: 'lax', secure, path: '/', maxAge: TWELVE_HOURS_MS },
    saveUninitialized: false,
    rolling: false
  })
  await app.register(csrf, {
    sessionPlugin: '@fastify/session',
    getToken: request => (request.body as { _csrf?: string } | undefined)?._csrf
  })
  // Whatever is not a form that we made ourselves for this session is refused, whichever route it is sent to.
  app.addHook('preHandler', (request, reply, done) => {
    if (request.method === 'GET' || request.method === 'HEAD') done()
    else app.csrfProtection(request, reply, done)
  })
  // Pages are made for one person at one moment.
  app.addHook('onRequest', async (_request, reply) => { void reply.header('cache-control', 'no-store') })
  addViews(app)

  await app.register(signIn, { userPool, callbackUrl: settings.callbackUrl, forgetCookie: reply => { void reply.clearCookie(cookieName, { path: '/', secure }) } })
  await app.register(pages, { userPool, tables, clock })
}
