/** HTML from the templates in views/, which escape all that they are given. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Eta } from 'eta'
import type { FastifyInstance, FastifyReply } from 'fastify'

const FOLDER = fileURLToPath(new URL('views', import.meta.url))
const STYLE = readFileSync(`${FOLDER}/style.css`)
const eta = new Eta({ views: FOLDER, cache: true })

/** What a person is told. Other errors below 500 are shown, too; of those above only that they happened. */
export class PageError extends Error {
  readonly statusCode: number

  constructor (statusCode: number, message: string) {
    super(message)
    this.name = 'PageError'
    this.statusCode = statusCode
  }
}

export function show (reply: FastifyReply, view: 'tables' | 'table' | 'message', data: object): FastifyReply {
  return reply.type('text/html; charset=utf-8').send(eta.render(view, data))
}

/** The style sheet, and errors as pages. */
export function addViews (app: FastifyInstance): void {
  app.get('/style.css', async (_request, reply) => reply.header('cache-control', 'public, max-age=3600').type('text/css; charset=utf-8').send(STYLE))

  app.setErrorHandler<Error & { statusCode?: number, code?: string }>((error, request, reply) => {
    const status = error.statusCode ?? 500
    if (status >= 500) request.log.error(error)
    const message = error.code?.startsWith('FST_CSRF_')
      ? 'This form is out of date. Go back, load its page again, and send it once more.'
      : status < 500 || status === 503 ? error.message : 'Something went wrong here; the log says what.'
    return show(reply.code(status), 'message', { title: TITLES[status] ?? 'Not this time', message, link: { href: '/', text: 'Back to the tables' } })
  })
}

const TITLES: Record<number, string> = { 401: 'Not signed in', 403: 'Not allowed', 404: 'Not found', 503: 'Not now' }
