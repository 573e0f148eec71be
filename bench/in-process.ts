/**
 * Measures the plugin in this process: `node in-process.ts WHAT ISSUER TOKENS`.
 * Prints how many nanoseconds of CPU time one verification took, over thousands of tokens in rotation.
 */
import { createPublicKey, generateKeyPairSync, randomUUID, sign, verify as verifySignature } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import mintmark from '../src/index.ts'

const [what = '', issuer = '', file = ''] = process.argv.slice(2)
const CLIENT_ID = 'bench-client'
const KNOWN_PASSES = 20

type Verify = (token: string) => unknown

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'pool-key', alg: 'RS256', use: 'sig' }] }
const pool = createServer((_request, response) => { response.setHeader('content-type', 'application/json').end(JSON.stringify(jwks)) })
await new Promise<void>(resolve => { pool.listen(0, '127.0.0.1', resolve) })
const poolIssuer = `http://localhost:${(pool.address() as AddressInfo).port}`

function userToken (): string {
  const now = Math.floor(Date.now() / 1000)
  const claims = { sub: randomUUID(), 'cognito:groups': ['Data'], email_verified: true, iss: poolIssuer, 'cognito:username': 'alice', origin_jti: randomUUID(), aud: CLIENT_ID, event_id: randomUUID(), token_use: 'id', auth_time: now, exp: now + 3600, iat: now, jti: randomUUID(), email: 'alice@example.com' }
  const input = [{ kid: 'pool-key', alg: 'RS256' }, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`
}

/** The signature and nothing else, over parts that were taken apart beforehand. */
async function rawVerify (tokens: readonly string[]): Promise<Verify> {
  const { keys } = await fetch(`${issuer}/.well-known/jwks.json`).then(async response => await response.json() as { keys: Array<Record<string, string>> })
  const key = createPublicKey({ key: keys[0] ?? {}, format: 'jwk' })
  const parts = new Map(tokens.map(token => {
    const dot = token.lastIndexOf('.')
    return [token, { input: Buffer.from(token.slice(0, dot)), signature: Buffer.from(token.slice(dot + 1), 'base64url') }]
  }))
  return token => {
    const { input, signature } = parts.get(token) ?? { input: Buffer.alloc(0), signature: Buffer.alloc(0) }
    if (!verifySignature('sha256', input, key, signature)) throw new Error('signature')
  }
}

async function pluginVerify (): Promise<Verify> {
  const app = Fastify()
  await app.register(mintmark, { issuer, audience: 'metadata-api', cognito: { issuer: poolIssuer, clientId: CLIENT_ID } })
  await app.ready()
  return app.verifyToken
}

async function nanosecondsOf (verify: Verify, tokens: readonly string[], passes = 1): Promise<number> {
  const before = process.cpuUsage()
  for (let pass = 0; pass < passes; pass++) {
    for (const token of tokens) {
      const verified = verify(token)
      if (verified instanceof Promise) await verified
    }
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) * 1000 / passes / tokens.length
}

const botTokens = readFileSync(file, 'utf8').split('\n')
const tokens = what.startsWith('user') ? Array.from({ length: 4000 }, userToken) : botTokens
const [first, second] = [tokens.slice(0, tokens.length / 2), tokens.slice(tokens.length / 2)]
const verify = what === 'raw' ? await rawVerify(tokens) : await pluginVerify()
await nanosecondsOf(verify, first)
const whenNew = await nanosecondsOf(verify, second)
if (what.endsWith('known')) await nanosecondsOf(verify, tokens, KNOWN_PASSES)
console.log(what.endsWith('known') ? await nanosecondsOf(verify, tokens, KNOWN_PASSES) : whenNew)
process.exit()
