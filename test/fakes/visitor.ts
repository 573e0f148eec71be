/** A browser in small, for what a real one hides: cookies, redirects and forms of a server that is asked by `inject`. */
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'

export interface Visitor {
  cookies: Map<string, string>
  /** A GET, with the cookies; what is set is kept. No redirect is followed. */
  get: (url: string, headers?: Record<string, string>) => Promise<LightMyRequestResponse>
  /** Sends a form. */
  post: (url: string, form?: Record<string, string>) => Promise<LightMyRequestResponse>
  /** The token against forged requests that stands in the forms of a page. */
  csrfAt: (url: string) => Promise<string>
  /** From the sign-in through the hosted UI to the callback. @returns what the callback answered */
  signIn: (user: { username: string, password: string }, to?: string) => Promise<LightMyRequestResponse>
  /** The same, up to the address that the hosted UI sends people back to. */
  throughHostedUi: (user: { username: string, password: string }, to?: string) => Promise<string>
}

export function visitorOf (app: FastifyInstance): Visitor {
  const cookies = new Map<string, string>()

  async function ask (method: 'GET' | 'POST', url: string, headers: Record<string, string>, payload?: string): Promise<LightMyRequestResponse> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await app.inject({ method, url, headers: { ...(cookie && { cookie }), ...headers }, ...(payload !== undefined && { payload }) })
    for (const { name, value, expires } of answer.cookies) {
      if (value === '' || (expires && expires.getTime() <= Date.now())) cookies.delete(name)
      else cookies.set(name, value)
    }
    return answer
  }

  const get: Visitor['get'] = async (url, headers = {}) => await ask('GET', url, headers)

  const throughHostedUi: Visitor['throughHostedUi'] = async ({ username, password }, to = '/') => {
    const { headers: { location } } = await get(`/sign-in?${new URLSearchParams({ to }).toString()}`)
    const hostedUi = new URL(String(location))
    const answer = await fetch(new URL('/oauth2/authorize', hostedUi), {
      method: 'POST', redirect: 'manual', body: new URLSearchParams([...hostedUi.searchParams, ['username', username], ['password', password]])
    })
    const back = new URL(answer.headers.get('location') ?? 'nowhere:')
    return back.pathname + back.search
  }

  return {
    cookies,
    get,
    throughHostedUi,
    post: async (url, form = {}) => await ask('POST', url, { 'content-type': 'application/x-www-form-urlencoded' }, new URLSearchParams(form).toString()),
    csrfAt: async url => /name="_csrf" value="([^"]+)"/.exec((await get(url)).body)?.[1] ?? '',
    signIn: async (user, to) => await get(await throughHostedUi(user, to))
  }
}
