/** What holds for every request: its id, its line in the log, how its schemas are compiled. */
import { randomBytes } from 'node:crypto'
import { Ajv, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import fastJsonStringify, { type Schema } from 'fast-json-stringify'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify'
import type { Metrics } from '../telemetry/metrics.ts'

/** A request id that came with the request is kept, if it is one that can go into a log. Ours are unique, and no secret. */
export function requestIdOf ({ headers }: { headers: Record<string, string | string[] | undefined> }): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : `${PROCESS}-${(++requests).toString(36)}`
}

const PROCESS = randomBytes(9).toString('base64url')
let requests = 0

/** Paths that are asked so often that a line each would drown the log. */
const QUIET = /^\/(?:verify|auth|health|metrics|\.well-known|api)(?:[/?]|$)/

/** For the lines that are about one request. A logger for each request would cost more than the few lines are worth that get written. */
export function logOf ({ log, id }: FastifyRequest): FastifyBaseLogger {
  return log.child({ requestId: id })
}

export function followRequests (app: FastifyInstance, metrics: Metrics): void {
  const saysAll = ['debug', 'trace'].includes(app.log.level)
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id)
    // Clients that always name a type, also of a body that is not there, mean no body.
    if (request.headers['content-type'] !== undefined && isBodiless(request.headers)) delete request.headers['content-type']
    done()
  })
  // An absent body is an empty one: then a field that is missing is reported by its name.
  app.addHook('preValidation', (request, _reply, done) => {
    request.body ??= request.method === 'GET' || request.method === 'HEAD' ? undefined : {}
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const milliseconds = reply.elapsedTime
    metrics.answered(request.routeOptions.url ?? 'none', request.method, reply.statusCode, milliseconds / 1000)
    const isQuiet = QUIET.test(request.url)
    if (!isQuiet || saysAll) {
      const [path = ''] = request.url.split('?', 1)
      request.log[isQuiet ? 'debug' : 'info']({ requestId: request.id, method: request.method, path, status: reply.statusCode, milliseconds: Math.round(milliseconds) }, 'answered')
    }
    done()
  })
}

function isBodiless (headers: FastifyRequest['headers']): boolean {
  return headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0'
}

/**
 * Bodies are taken as they are; query and path arrive as text, and are read as what their schema says. All faults are reported at once.
 * Each schema is compiled when it is first needed: all of them would take a tenth of a second of each start, and most are never used.
 */
export function compileSchemas (app: FastifyInstance): void {
  const coercing = addFormats.default(new Ajv({ ...OPTIONS, coerceTypes: 'array' }))
  app.setValidatorCompiler(({ schema, httpPart }) => {
    const validator = onceNeeded(() => httpPart === 'body' ? compileBody(schema as object) : coercing.compile(schema as object))
    return data => validator()(data) ? true : { error: validator().errors as unknown as Error }
  })
  app.setSerializerCompiler(({ schema }) => {
    const serializer = onceNeeded(() => fastJsonStringify(schema as Schema))
    return data => serializer()(data)
  })
}

function onceNeeded<T> (make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}

/** For what comes by another way than a request, and is held to the same. */
export function compileBody (schema: object): ValidateFunction {
  return bodies.compile(schema)
}

/** Whether they are JSON Schema at all is for the tests to say: it would hold up the first request to need one, and all others with it, for 17 ms. */
const OPTIONS = { allErrors: true, useDefaults: true, strict: false, validateSchema: false } as const
const bodies = addFormats.default(new Ajv(OPTIONS))
