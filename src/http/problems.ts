/**
 * Failures as answers: `application/problem+json` (RFC 9457), one row a code.
 * Why a token is refused stands in verify/errors.ts; this adds all else that can go wrong, and turns thrown errors into answers.
 */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { DURATION_FORM, DURATION_PATTERN } from '../duration.ts'
import { challengeFor, problemDocument, VERIFY_FAILURES, VerifyError, type VerifyCode } from '../verify/errors.ts'

export const PROBLEMS = {
  ...VERIFY_FAILURES,
  not_found: { status: 404, title: 'There is nothing here' },
  method_not_allowed: { status: 405, title: 'The path is known, but not with this method' },
  conflict: { status: 409, title: 'This is taken already' },
  payload_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body is of a type that is not understood here' },
  validation_failed: { status: 400, title: 'The request has faults' },
  rate_limited: { status: 429, title: 'Too many requests' },
  unavailable: { status: 503, title: 'The database is away or cannot be written' },
  internal_error: { status: 500, title: 'Something failed inside' }
} as const satisfies Record<string, { status: number, title: string }>

export type ProblemCode = keyof typeof PROBLEMS

export interface FieldFault {
  field: string
  message: string
}

/** A request that cannot be done, for a reason that is told to whoever sent it. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly faults: readonly FieldFault[]

  constructor (code: ProblemCode, detail: string, options: { faults?: readonly FieldFault[], cause?: unknown } = {}) {
    super(detail, { cause: options.cause })
    this.name = 'Problem'
    this.code = code
    this.faults = options.faults ?? []
  }
}

export function invalid (field: string, message: string): Problem {
  return new Problem('validation_failed', `${field} ${message}`, { faults: [{ field, message }] })
}

/** Tells errors of the database apart; the store's own types are not known here. */
export type IsUnavailable = (error: unknown) => boolean

/** @returns the problem that `error` is to whoever sent the request; what is inside stays inside */
export function problemOf (error: unknown, isUnavailable: IsUnavailable): Problem | VerifyError {
  if (error instanceof Problem || error instanceof VerifyError) return error
  if (isUnavailable(error)) return new Problem('unavailable', 'The database is away, full or read-only: nothing was changed, try again shortly', { cause: error })
  return problemOfFastify(error as FastifyError) ?? new Problem('internal_error', 'This is our fault; the log of the service has the request id', { cause: error })
}

function problemOfFastify (error: FastifyError): Problem | undefined {
  if (error.validation) return new Problem('validation_failed', 'The request has faults, see errors', { faults: faultsOf(error.validation, error.validationContext) })
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return new Problem('unsupported_media_type', 'Send application/json')
  if (error.code === 'FST_ERR_BAD_URL') return new Problem('request_invalid', 'The path cannot be decoded')
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new Problem('payload_too_large', 'Send a smaller body')
  const status = error.statusCode ?? 500
  if (status < 400 || status >= 500) return undefined
  const isJson = /JSON|FST_ERR_CTP/.test(`${error.code} ${error.message}`)
  return new Problem('request_invalid', isJson ? 'The request could not be read: is its body well-formed JSON?' : 'The request could not be read', { cause: error })
}

/** @param where what is at fault, when no field is */
export function faultsOf (validation: NonNullable<FastifyError['validation']>, where?: string): FieldFault[] {
  return validation.filter(isTelling).map(fault => faultOf(fault, where))
}

/** Of what may be null the schema says three things: only the one about the value itself helps. */
function isTelling ({ keyword, params }: NonNullable<FastifyError['validation']>[number]): boolean {
  return keyword !== 'anyOf' && !(keyword === 'type' && params.type === 'null')
}

function faultOf (fault: NonNullable<FastifyError['validation']>[number], where = 'body'): FieldFault {
  const unknown = fault.params.additionalProperty ?? fault.params.missingProperty
  const path = fault.instancePath.split('/').slice(1)
  const field = [...path, ...(typeof unknown === 'string' ? [unknown] : [])].join('.')
  const message = fault.keyword === 'additionalProperties' ? 'is not a field that is known here' : fault.keyword === 'required' ? 'is missing' : fault.params.pattern === DURATION_PATTERN ? `takes ${DURATION_FORM}` : fault.message ?? 'is wrong'
  return { field: field === '' ? where : field, message }
}

export async function sendProblem (request: FastifyRequest, reply: FastifyReply, problem: Problem | VerifyError): Promise<FastifyReply> {
  const { code, message: detail } = problem
  const { status, title } = PROBLEMS[code]
  const challenge = code in VERIFY_FAILURES ? challengeFor(code as VerifyCode, detail) : null
  if (challenge !== null) void reply.header('www-authenticate', challenge)
  if (status === 503) void reply.header('retry-after', '1')
  void reply.header('x-request-id', request.id)
  return await reply.code(status).type('application/problem+json').header('cache-control', 'no-store').serializer(JSON.stringify).send({
    ...problemDocument({ code, status, title, detail, requestId: request.id }),
    ...(problem instanceof Problem && problem.faults.length > 0 && { errors: problem.faults })
  })
}
