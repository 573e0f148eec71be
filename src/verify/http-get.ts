/**
 * Fetches small documents over HTTP, again and again: bounded in time and in size, and never led elsewhere by a redirect.
 * Connections are kept for the next time; idle ones do not hold the process.
 */
import http from 'node:http'
import https from 'node:https'

export interface Page {
  status: number
  etag: string | null
  text: string
}

export interface GetOptions {
  accept: string
  /** Of the page that is held already: 304 says that it is still the same. */
  etag?: string | null
  timeoutMs: number
  largestBytes: number
}

/** Throws if there is no answer in time, or one that is too large. */
export type Get = (url: string, options: GetOptions) => Promise<Page>

export interface HttpClient {
  get: Get
  /** Gives up what is under way, and closes all connections. */
  close: () => void
}

export function createHttpClient (): HttpClient {
  const agents = { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true }) }
  const closing = new AbortController()

  async function open (url: string, { accept, etag, timeoutMs }: GetOptions): Promise<http.IncomingMessage> {
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(timeoutMs)])
    const headers = { accept, ...(typeof etag === 'string' && { 'if-none-match': etag }) }
    return await new Promise((resolve, reject) => {
      const request = url.startsWith('https:')
        ? https.get(url, { agent: agents.https, headers, signal }, resolve)
        : http.get(url, { agent: agents.http, headers, signal }, resolve)
      request.on('error', reject)
    })
  }

  return {
    async get (url, options) {
      const response = await open(url, options)
      return { status: response.statusCode ?? 0, etag: response.headers.etag ?? null, text: await readText(response, options.largestBytes) }
    },
    close () {
      closing.abort()
      for (const agent of Object.values(agents)) agent.destroy()
    }
  }
}

async function readText (response: http.IncomingMessage, largestBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > largestBytes) throw new Error(`the answer is larger than ${largestBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
