/** pino, set up so that no token, no secret and no private key ever reaches a log. */
import { destination, pino, type Logger } from 'pino'

export type Log = Logger

/** For people only, and dear to load. */
const PinoPretty = process.stdout.isTTY ? (await import('pino-pretty')).PinoPretty : null

const REDACTED = '[redacted]'
/** What must not be logged, wherever it stands: JWTs and other compact JWS, client secrets, PEM private keys, credentials in a header. */
const SECRETS = /eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?|mmk_[\w-]{20,}|-----BEGIN[A-Z ]*PRIVATE KEY-----.*?(?:-----END[A-Z ]*PRIVATE KEY-----|$)|(?<=\b(?:Basic|Bearer) )[\w+/=.~-]{12,}/gs

export function createLog (level: string, out: NodeJS.WriteStream & { readonly fd?: number } = process.stdout): Log {
  return pino({
    level,
    base: null,
    timestamp: isoTime,
    redact: {
      paths: ['authorization', 'headers.authorization', 'req.headers.authorization', 'token', 'secret', 'client_secret', 'clientSecret', 'password', 'privateKey'],
      censor: REDACTED
    },
    hooks: { streamWrite: redactSecrets }
  }, out.isTTY && PinoPretty ? PinoPretty({ destination: out.fd ?? 1, translateTime: 'SYS:HH:MM:ss', sync: true }) : out === process.stdout ? destination({ dest: 1, sync: true }) : out)
}

let second = NaN
let secondText = ''

/** As pino's own `isoTime`, which makes a date for each line. */
function isoTime (): string {
  const now = Date.now()
  if (Math.floor(now / 1000) !== second) {
    second = Math.floor(now / 1000)
    secondText = new Date(second * 1000).toISOString().slice(0, -'000Z'.length)
  }
  return `,"time":"${secondText}${String(now - second * 1000).padStart(3, '0')}Z"`
}

/** The last line of defence: whatever slipped into a message is taken out of the finished line. */
export function redactSecrets (line: string): string {
  return line.replace(SECRETS, REDACTED)
}
