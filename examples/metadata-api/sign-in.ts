/** How people come in, and how they leave. Their tokens stay on this side: the browser holds a cookie that names the session, no more. */
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SignInError, type Attempt, type Tokens, type UserPool } from './user-pool.ts'
import { show } from './views.ts'

declare module 'fastify' {
  interface Session {
    /** While somebody is away at the hosted UI. */
    attempt?: (Attempt & { returnTo: string }) | undefined
    /** Since he came back. */
    tokens?: Tokens
  }
}

export interface SignInOptions {
  userPool: UserPool
  callbackUrl: URL
  forgetCookie: (reply: FastifyReply) => void
}

export const signIn: FastifyPluginAsyncTypebox<SignInOptions> = async (app, { userPool, callbackUrl, forgetCookie }) => {
  app.get('/sign-in', { schema: { querystring: Type.Object({ to: Type.String({ default: '/' }) }) } }, async (request, reply) => {
    const { url, attempt } = await userPool.begin()
    request.session.attempt = { ...attempt, returnTo: addressHere(request.query.to, callbackUrl) }
    return await reply.redirect(url.href)
  })

  app.get(callbackUrl.pathname, async (request, reply) => {
    const { attempt } = request.session
    if (!attempt) throw new SignInError('This sign-in was not begun in this browser, or it has been used already. Begin it again.', { refused: true })
    request.session.attempt = undefined
    const tokens = await userPool.finish(new URL(request.url, callbackUrl), attempt)
    await app.verifyToken(tokens.idToken, { kinds: ['user'] })
    // Another session from here on: whoever planted the one before in this browser has nothing of it.
    await request.session.regenerate()
    request.session.tokens = tokens
    return await reply.redirect(attempt.returnTo)
  })

  app.post('/sign-out', async (request, reply) => {
    const { tokens } = request.session
    await request.session.destroy()
    forgetCookie(reply)
    const url = await userPool.end(tokens)
    // Not a redirect: that would be part of sending the form, which may go nowhere else (form-action 'self').
    if (url !== null) void reply.header('refresh', `0; url=${url.href}`)
    return show(reply, 'message', { title: 'Signing out …', message: 'You are signed out here.', link: { href: url?.href ?? '/', text: url ? 'Go on' : 'Sign in' } })
  })

  app.get('/signed-out', async (_request, reply) =>
    show(reply, 'message', { title: 'Signed out', message: 'You are signed out.', link: { href: '/', text: 'Sign in again' } }))
}

/**
 * An `onRequest` hook: `request.principal` is the person whose session this is, by the plugin's checks, at each request. Whoever is
 * not signed in, or no longer, is sent to do so.
 */
export function requirePerson (app: FastifyInstance, userPool: UserPool) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const { tokens } = request.session
    if (!tokens) return await toSignIn(request, reply)
    try {
      request.session.tokens = await userPool.keepFresh(tokens)
      request.principal = await app.verifyToken(request.session.tokens.idToken, { kinds: ['user'] })
      return undefined
    } catch (error) {
      if (!isOver(error)) throw error
      await request.session.destroy()
      return await toSignIn(request, reply)
    }
  }
}

/** The pool gives no more tokens, or the token in hand is not good any more. Not: the pool or its keys are out of reach. */
function isOver (error: unknown): boolean {
  return error instanceof SignInError ? error.refused : (error as { statusCode?: number }).statusCode === 401
}

async function toSignIn (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const to = request.method === 'GET' ? request.url : '/'
  return await reply.redirect(`/sign-in?${new URLSearchParams({ to }).toString()}`, 303)
}

/** Nobody is sent on to another site after the sign-in, whatever a link says. */
function addressHere (to: string, { origin }: URL): string {
  const url = URL.parse(to, origin)
  return url?.origin === origin ? url.href : `${origin}/`
}
