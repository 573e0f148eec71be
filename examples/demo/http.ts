/** One way to ask over HTTP, which tells what it asks: what the reader sees is what was sent. */
import { short, type Say } from './telling.ts'

export interface Answer {
  status: number
  body: unknown
}

/** Whose request it is: a bearer token, or a client with its secret (RFC 6749 2.3.1). */
export type Credentials = { bearer: string } | { clientId: string, clientSecret: string }

export interface Question {
  credentials?: Credentials
  form?: Readonly<Record<string, string>>
  json?: object
}

const ANSWER_WITHIN_MS = 10_000

/** Throws if nobody answers, or not with JSON. */
export async function ask (say: Say, method: 'GET' | 'POST', url: string, question: Question = {}): Promise<Answer> {
  const { credentials, form, json } = question
  const payload = form ? new URLSearchParams(form) : json ? JSON.stringify(json) : null
  say.asked([`${method} ${url}`, credentials && shownCredentials(credentials), payload?.toString()].filter(Boolean).join('  '))
  const response = await fetch(url, {
    method,
    headers: {
      ...(credentials && { authorization: authorizationOf(credentials) }),
      ...(json && { 'content-type': 'application/json' })
    },
    body: payload,
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS)
  })
  const body: unknown = await response.json().catch((cause: unknown) => {
    throw new Error(`${url} answered ${response.status}, and not with JSON`, { cause })
  })
  return { status: response.status, body }
}

function authorizationOf (credentials: Credentials): string {
  if ('bearer' in credentials) return `Bearer ${credentials.bearer}`
  return `Basic ${Buffer.from(`${credentials.clientId}:${credentials.clientSecret}`).toString('base64')}`
}

function shownCredentials (credentials: Credentials): string {
  return 'bearer' in credentials ? `Bearer ${short(credentials.bearer)}` : `Basic ${credentials.clientId}:${short(credentials.clientSecret)}`
}
