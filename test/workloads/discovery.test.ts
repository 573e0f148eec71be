/** Where a workload issuer's keys come from (contract 5): the settings decide it, and nothing that anybody sends or answers. */
import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { createWorkloadJudge, type JudgeWorkload } from '../../src/workloads/workload-tokens.ts'
import { movableClock } from '../fakes/clock.ts'
import { startPlatform, type Platform } from '../fakes/platforms.ts'
import { temporaryFolder } from '../fakes/service.ts'
import { handmade, makeSigner, type Signer } from '../fakes/signers.ts'

const { clock, advance } = movableClock()

interface Watched { judge: JudgeWorkload, failures: string[] }

function judgeOf (issuer: string, jwksFile: string | null = null): Watched {
  const failures: string[] = []
  const onRead = (_issuer: unknown, error?: unknown): void => { if (error !== undefined) failures.push((error as Error).message) }
  return { judge: createWorkloadJudge([{ issuer, jwksFile }], { clock, clockToleranceSeconds: 5, onRead }), failures }
}

const tokenOf = async (issuer: string, signer: Signer, header?: Record<string, unknown>): Promise<string> => {
  const now = clock().getTime() / 1000
  return await signer.sign({ iss: issuer, sub: 'workload', aud: 'us', iat: now, exp: now + 3_600 }, header)
}

const outcome = async ({ judge }: Watched, platform: Platform, signer = platform.signer): Promise<string> => (await judge(await tokenOf(platform.issuer, signer))).is

await t.test('a document that leads elsewhere is not followed', async t => {
  const elsewhere = await startPlatform(t)
  const redirect = (address: string) => (_request: unknown, response: ServerResponse): void => { response.writeHead(302, { location: address }).end() }
  const cases: Array<[string, (platform: Platform) => Record<string, unknown>, RegExp]> = [
    ['keys on another host', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer, jwks_uri: `${elsewhere.issuer}/keys` } }), /on another host/],
    ['keys on another port', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer, jwks_uri: issuer.replace(/:\d+$/, ':1/keys') } }), /on another host/],
    ['keys on a host whose name begins so', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}.evil.example/keys` } }), /on another host/],
    ['keys on a host behind an @', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}@169.254.169.254/keys` } }), /on another host/],
    ['keys with a password', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer.replace('//', '//user:secret@')}/keys` } }), /on another host/],
    ['keys by another scheme', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer, jwks_uri: issuer.replace('http:', 'https:') } }), /on another host/],
    ['keys in a file', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer, jwks_uri: 'file:///etc/passwd' } }), /on another host/],
    ['keys in the document', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer, jwks_uri: `data:application/json,${JSON.stringify({ keys: [elsewhere.signer.jwk] })}` } }), /on another host/],
    ['keys at a path alone', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer, jwks_uri: '/keys' } }), /on another host/],
    ['no keys at all', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer } }), /on another host/],
    ['another issuer', () => ({ '/.well-known/openid-configuration': { issuer: elsewhere.issuer, jwks_uri: `${elsewhere.issuer}/keys` } }), /another issuer/],
    ['an issuer with a slash', ({ issuer }) => ({ '/.well-known/openid-configuration': { issuer: `${issuer}/`, jwks_uri: `${issuer}/keys` } }), /another issuer/],
    ['no issuer', ({ issuer }) => ({ '/.well-known/openid-configuration': { jwks_uri: `${issuer}/keys` } }), /another issuer/],
    ['null', () => ({ '/.well-known/openid-configuration': null }), /another issuer/],
    ['a document that is moved', () => ({ '/.well-known/openid-configuration': redirect(`${elsewhere.issuer}/.well-known/openid-configuration`) }), /fetch failed/],
    ['keys that are moved', () => ({ '/keys': redirect(`${elsewhere.issuer}/keys`) }), /fetch failed/],
    ['keys that are no JWKS', () => ({ '/keys': { keys: 'none' } }), /not a JWKS/],
    ['keys that are no JSON', () => ({ '/keys': (_request: unknown, response: ServerResponse) => { response.end('<html>') } }), /JSON/],
    ['keys without end', () => ({ '/keys': (_request: unknown, response: ServerResponse) => { response.end(`{"keys":[]}${' '.repeat(300_000)}`) } }), /larger than/],
    ['a failure', () => ({ '/keys': (_request: unknown, response: ServerResponse) => { response.writeHead(500).end() } }), /answered 500/]
  ]
  for (const [message, answers, failure] of cases) {
    const platform = await startPlatform(t)
    Object.assign(platform.answers, answers(platform))
    const watched = judgeOf(platform.issuer)
    for (const signer of [platform.signer, elsewhere.signer]) t.equal(await outcome(watched, platform, signer), 'not to be judged now', message)
    t.match(watched.failures[0], failure, `${message}: says why`)
  }
  t.same(elsewhere.asked, [], 'nobody else was asked')
})

await t.test('an issuer with a path, and one that ends in a slash', async t => {
  for (const path of ['/id/CLUSTER', '/']) {
    const platform = await startPlatform(t, path)
    if (path === '/') {
      platform.answers['/.well-known/openid-configuration'] = { issuer: platform.issuer, jwks_uri: `${platform.issuer}keys` }
      platform.answers['/keys'] = { keys: [platform.signer.jwk] }
    }
    t.equal(await outcome(judgeOf(platform.issuer), platform), 'good', path)
  }
})

await t.test('a new key is found when a token needs it, and nobody makes us knock', async t => {
  const platform = await startPlatform(t)
  const watched = judgeOf(platform.issuer)
  const count = (): number => platform.asked.filter(path => path === '/keys').length
  const next = await makeSigner('ES256', 'next')
  const strangers = async (): Promise<string[]> => await Promise.all(Array.from({ length: 20 }, async (_, number) => (await watched.judge(await tokenOf(platform.issuer, next, { kid: `made-up-${number}` }))).is))

  await Promise.all(Array.from({ length: 10 }, async () => await outcome(watched, platform)))
  t.equal(count(), 1, 'many at once ask once')
  platform.answers['/keys'] = { keys: [platform.signer.jwk, next.jwk] }
  t.equal(await outcome(watched, platform, next), 'good')
  t.equal(count(), 2)
  t.same(new Set(await strangers()), new Set(['not authentic']))
  t.equal(count(), 2, 'not again within the cooldown')
  advance(11)
  await strangers()
  t.equal(count(), 3, 'then once more')

  platform.answers['/keys'] = { keys: [next.jwk] }
  advance(1_201)
  t.equal(await outcome(watched, platform), 'not authentic', 'a key that the issuer has withdrawn is no longer good')
})

await t.test('keys in hand are good while the issuer is away; without any, it is said that it is away', async t => {
  const platform = await startPlatform(t)
  const watched = judgeOf(platform.issuer)
  t.equal(await outcome(watched, platform), 'good')
  await platform.stop()
  for (const seconds of [700, 3_600, 86_400]) {
    advance(seconds)
    t.equal(await outcome(watched, platform), 'good', `after ${seconds} s`)
  }
  const next = await makeSigner('ES256', 'next')
  t.equal(await outcome(watched, platform, next), 'not to be judged now', 'a key that may be a new one of its')
  const late = judgeOf(platform.issuer)
  t.equal(await outcome(late, platform), 'not to be judged now')
  t.match(late.failures, [/fetch failed/])
})

await t.test('keys in a file', async t => {
  const issuer = 'https://kubernetes.default.svc.cluster.local'
  const first = await makeSigner('RS256', 'first')
  const second = await makeSigner('RS256', 'second')
  const folder = temporaryFolder(t)
  const file = join(folder, 'jwks.json')
  const watched = judgeOf(issuer, file)
  const outcomeOf = async (signer: Signer): Promise<string> => (await watched.judge(await tokenOf(issuer, signer))).is
  const write = (document: unknown): void => { writeFileSync(file, typeof document === 'string' ? document : JSON.stringify(document)) }

  t.equal(await outcomeOf(first), 'not to be judged now', 'not there yet')
  write({ keys: [first.jwk] })
  t.equal(await outcomeOf(first), 'good', 'there now')
  t.equal(await outcomeOf(second), 'not authentic')
  write({ keys: [second.jwk, { kty: 'oct', k: 'c2VjcmV0', kid: 'first' }, null, 7] })
  t.equal(await outcomeOf(second), 'good', 'read anew')
  t.equal(await outcomeOf(first), 'not authentic')
  for (const broken of ['{"keys":[', 'x'.repeat(300_000), '[]']) {
    write(broken)
    t.equal(await outcomeOf(second), 'good', 'a file that is being written changes nothing')
    t.equal(await outcomeOf(second), 'good')
  }
  t.match(watched.failures, [/ENOENT/, /JSON/, /larger than/, /not a JWKS/], 'said once each')
  rmSync(file)
  t.equal(await outcomeOf(second), 'good', 'nor does one that is gone')
})

await t.test('a ConfigMap is changed by a link to another folder', async t => {
  const issuer = 'https://cluster.example'
  const folder = temporaryFolder(t)
  const signers = [await makeSigner('ES256', 'same'), await makeSigner('ES256', 'same')]
  const file = join(folder, 'data', 'jwks.json')
  const watched = judgeOf(issuer, file)
  for (const signer of signers) {
    const version = mkdtempSync(join(folder, 'version-'))
    writeFileSync(join(version, 'jwks.json'), JSON.stringify({ keys: [signer.jwk] }))
    symlinkSync(version, join(folder, 'data.new'))
    renameSync(join(folder, 'data.new'), join(folder, 'data'))
    t.same(await Promise.all(signers.map(async each => (await watched.judge(await tokenOf(issuer, each))).is)), signers.map(each => each === signer ? 'good' : 'not authentic'))
  }
})

await t.test('weak keys, private ones and those for something else verify nothing', async t => {
  const platform = await startPlatform(t)
  const { jwk } = platform.signer
  const changes: Array<[string, Record<string, unknown>]> = [
    ['for encryption', { ...jwk, use: 'enc' }],
    ['for signing only', { ...jwk, key_ops: ['sign'] }],
    ['for another algorithm', { ...jwk, alg: 'ES384' }],
    ['of another curve', { ...jwk, crv: 'P-384' }],
    ['without its point', { kty: 'EC', kid: jwk.kid, crv: 'P-256' }]
  ]
  for (const [message, key] of changes) {
    platform.answers['/keys'] = { keys: [key] }
    t.equal(await outcome(judgeOf(platform.issuer), platform), 'not authentic', message)
  }

  const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 })
  platform.answers['/keys'] = { keys: [{ ...weak.publicKey.export({ format: 'jwk' }), kid: 'weak' }] }
  const now = clock().getTime() / 1000
  const input = handmade({ alg: 'RS256', kid: 'weak' }, { iss: platform.issuer, sub: 'workload', aud: 'us', exp: now + 60 }, '').slice(0, -1)
  t.equal((await judgeOf(platform.issuer).judge(`${input}.${sign('sha256', Buffer.from(input), weak.privateKey).toString('base64url')}`)).is, 'not authentic', 'under 2048 bit')
})
