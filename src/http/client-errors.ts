/** What the HTTP parser refuses, or waits for in vain, before there is a request: answered in the same form as all else. */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { problemDocument, VERIFY_FAILURES } from '../verify/errors.ts'

const STATUSES: Record<string, number> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }
const DETAILS: Record<number, string> = { 400: 'This is not HTTP that can be read', 408: 'The request took too long to arrive', 431: 'The headers are larger than 64 KiB' }

export function answerClientError (error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = STATUSES[error.code ?? ''] ?? 400
  const body = JSON.stringify(problemDocument({ code: 'request_invalid', status, title: VERIFY_FAILURES.request_invalid.title, detail: DETAILS[status] ?? '', requestId: '' }))
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`)
}
