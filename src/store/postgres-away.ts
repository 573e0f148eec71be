/** Which errors of PostgreSQL's are no fault of a query. Beside the driver, which an installation over SQLite need not load. */

/** Classes of SQLSTATE that mean: not now. Connection, who may come, no such database, resources, operator's intervention, lock not had, read-only, I/O. */
const AWAY = /^(?:08|28|3D|53|57|58|55P03|25006|25P0[34]|XX)/
/** What Node says of a certificate that it does not trust. */
const UNTRUSTED = /^(?:ERR_TLS_|ERR_SSL_|CERT_|SELF_SIGNED_CERT|DEPTH_ZERO_|UNABLE_TO_)/
const BROKEN = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH'])

/** True for errors that say that the database cannot be reached or written now. */
export function isPostgresAway (error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const { code, message } = error as NodeJS.ErrnoException
  return (code !== undefined && (AWAY.test(code) || UNTRUSTED.test(code) || BROKEN.has(code))) || /Connection terminated|does not support SSL|timeout exceeded|Query read timeout|connection timeout|not queryable|Cannot use a pool after/.test(message)
}
