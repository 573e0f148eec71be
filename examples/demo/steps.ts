/** The steps of the story. Each asks real parts, tells what came back, and throws unless that is what it promised. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeProtectedHeader } from 'jose'
import type { Principal } from 'mintmark'
import { codeOf, jwksOf, keysOf, mustBeOk, principalOf, rotationOf } from './answers.ts'
import { createPublicClient, createUser, createUserPool, issuerOf, signIn, type Cognito, type User, type UserTokens } from './cognito.ts'
import { ask, type Answer } from './http.ts'
import { startMetadataApi, type MetadataApi } from './metadata-api.ts'
import { askJwks, askKeys, askRotation, askToken, askVerify, createBot, startService, type CreatedBot, type Service } from './service.ts'
import type { Stage } from './stage.ts'
import { short, type Say } from './telling.ts'

const WHO_AM_I = '/api/v1/users/loggedInUser'

interface UserPool {
  issuer: string
  clientId: string
}

/** Both places where a token is judged: the service's own endpoint, and the plugin within the metadata API. */
interface Doors {
  service: Service
  api: MetadataApi
}

export const USER: User = { username: 'ada', email: 'ada@open-metadata.org', password: 'Engine-No-1843' }
export const BOT = {
  kind: 'bot' as const,
  name: 'ingestion-bot',
  email: 'ingestion-bot@open-metadata.org',
  clientId: 'ingestion-bot',
  audience: ['metadata-api'],
  roles: ['IngestionBotRole'],
  scopes: ['metadata:write'],
  admin: false,
  tokenUse: 'access' as const
}

export async function makeUserPool (say: Say, cognito: Cognito): Promise<UserPool> {
  say.asked(`CreateUserPool, CreateUserPoolClient, AdminCreateUser, AdminSetUserPassword  at ${cognito.url}`)
  const poolId = await createUserPool(cognito, 'demo')
  const { clientId, clientSecret } = await createPublicClient(cognito, poolId, 'metadata-ui')
  await createUser(cognito, poolId, USER)
  say.got(`pool ${poolId}, app client ${clientId}, user ${USER.username} <${USER.email}>`)
  assert.match(poolId, /^local_\w+$/)
  assert.equal(clientSecret, undefined, 'a public app client has no secret')
  return { issuer: issuerOf(cognito, poolId), clientId }
}

export async function startOnNothing (say: Say, stage: Stage, pool: UserPool): Promise<Service> {
  say.asked(`mintmark serve  with AUTHENTICATION_AUTHORITY=${pool.issuer}`)
  const service = await startService(stage, pool)
  say.got(`ready at ${service.url}`)
  const kids = jwksOf(say, await askJwks(say, service))
  assert.equal(new Set(kids).size, 2, 'one key signs, one waits')
  return service
}

export async function startGuarded (say: Say, stage: Stage, service: Service, userPool: UserPool): Promise<MetadataApi> {
  const api = await startMetadataApi({ issuer: service.url, userPool })
  stage.onClose(api.close)
  const { status, body } = await askWhoAmI(say, api)
  say.got(`${status} ${codeOf(body)}`)
  assert.deepEqual([status, codeOf(body)], [401, 'token_missing'])
  return api
}

export async function makeBot (say: Say, stage: Stage, service: Service): Promise<CreatedBot> {
  const bot = await createBot(say, stage, service, BOT.name, ['--role', 'IngestionBotRole', '--scope', 'metadata:write'])
  say.got(`client id ${bot.clientId}, client secret ${short(bot.clientSecret)}`)
  assert.equal(bot.clientId, BOT.clientId)
  assert.match(bot.clientSecret, /^mmk_[\w-]{43}[0-9A-Za-z]{6}$/)
  return bot
}

export async function fetchToken (say: Say, service: Service, bot: CreatedBot): Promise<string> {
  const body = mustBeOk(say, await askToken(say, service, bot)) as { access_token: string, token_type: string, expires_in: number, scope: string }
  const { access_token: token, token_type: type, expires_in: seconds, scope } = body
  say.got(`200 ${short(token)}, signed by key ${short(kidOf(token))}, good for ${seconds} s, scope ${scope}`)
  assert.deepEqual([type, seconds, scope], ['Bearer', 3600, bot.scopes.join(' ')])
  return token
}

export async function verifyKnows (say: Say, service: Service, token: string, expected: Partial<Principal>): Promise<Principal> {
  const { active, principal } = mustBeOk(say, await askVerify(say, service, token)) as { active: boolean, principal: Principal }
  assert.equal(active, true)
  return principalOf(say, principal, expected)
}

/** The plugin says of a token what the service said of it, to the last field. */
export async function pluginKnows (say: Say, api: MetadataApi, token: string, known: Principal): Promise<void> {
  const principal = mustBeOk(say, await askWhoAmI(say, api, token)) as Principal
  assert.deepEqual(principalOf(say, principal, {}), known)
}

export async function bothKnow (say: Say, { service, api }: Doors, token: string, expected: Partial<Principal>): Promise<void> {
  await pluginKnows(say, api, token, await verifyKnows(say, service, token, expected))
}

export async function signInAs (say: Say, cognito: Cognito, pool: UserPool, user: User): Promise<UserTokens> {
  say.asked(`InitiateAuth USER_PASSWORD_AUTH as ${user.username}  at ${cognito.url}`)
  const tokens = await signIn(cognito, pool.clientId, user)
  say.got(`id token ${short(tokens.idToken)}, access token ${short(tokens.accessToken)}`)
  assert.notEqual(tokens.idToken, tokens.accessToken)
  return tokens
}

/** What the pool says of the user: an access token bears no e-mail address, and names no audience. */
export function userBy (tokenUse: 'id' | 'access', { issuer, clientId }: UserPool): Partial<Principal> {
  const user = { kind: 'user', name: USER.username, issuer, clientId, tokenUse, admin: false } as const
  return tokenUse === 'id' ? { ...user, email: USER.email, audience: [clientId] } : { ...user, email: null, audience: [] }
}

export async function becomeAdmin (say: Say, stage: Stage, service: Service): Promise<string> {
  const admin = await createBot(say, stage, service, 'admin-bot', ['--admin'])
  say.got(`client id ${admin.clientId}, scopes ${admin.scopes.join(' ')}, audiences ${admin.audiences.join(' ')}`)
  assert(admin.scopes.includes('admin') && admin.audiences.includes(service.url), 'an admin has scope admin, and our issuer as an audience')
  return await fetchToken(say, service, admin)
}

/** @returns the kid that signs from now on */
export async function rotate (say: Say, service: Service, adminToken: string, signedUntilNow: string): Promise<string> {
  const { signing, next } = rotationOf(say, await askRotation(say, service, { bearer: adminToken }, { force: true }))
  assert.equal(new Set([signedUntilNow, signing, next]).size, 3, 'the next key signs, and a third one waits')
  return signing
}

export async function fetchUnderNewKey (say: Say, doors: Doors, bot: CreatedBot, oldKid: string, newKid: string): Promise<string> {
  const token = await fetchToken(say, doors.service, bot)
  assert.equal(kidOf(token), newKid)
  await bothKnow(say, doors, token, BOT)
  const kids = jwksOf(say, await askJwks(say, doors.service))
  assert.equal(kids[0], newKid, 'the key that signs comes first')
  assert(kids.includes(oldKid), 'the key that signed before is still published')
  return token
}

/**
 * The admin's own token is older than the leaked key. Had that key signed it, it would die with it, and the admin would fetch another.
 * @returns the kid that signs from now on
 */
export async function revokeInEmergency (say: Say, service: Service, adminToken: string, leaked: string): Promise<string> {
  const credentials = { bearer: adminToken }
  const reason = 'it was found in a public bucket'
  assert.notEqual(kidOf(adminToken), leaked)
  const { signing } = rotationOf(say, await askRotation(say, service, credentials, { emergency: true, reason }))
  assert.notEqual(signing, leaked)
  const key = keysOf(say, await askKeys(say, service, credentials)).find(({ kid }) => kid === leaked)
  say.got(`200 key ${short(leaked)} is ${key?.state ?? 'not there'}: ${key?.revokedReason ?? 'for no reason'}`)
  assert.partialDeepStrictEqual(key, { state: 'revoked', revokedReason: reason })
  assert(!jwksOf(say, await askJwks(say, service)).includes(leaked), 'a revoked key leaves the JWKS')
  return signing
}

export async function isRefused (say: Say, service: Service, token: string): Promise<void> {
  const { status, body } = await askVerify(say, service, token)
  say.got(`${status} ${codeOf(body)}`)
  assert.deepEqual([status, codeOf(body)], [401, 'key_revoked'])
}

export async function workGoesOn (say: Say, doors: Doors, bot: CreatedBot, oldToken: string, thirdKid: string): Promise<void> {
  const token = await fetchToken(say, doors.service, bot)
  assert.equal(kidOf(token), thirdKid)
  await bothKnow(say, doors, token, BOT)
  await bothKnow(say, doors, oldToken, BOT)
}

/** The plugin fetches the revocation feed every three seconds. */
export async function hasHeard (say: Say, api: MetadataApi, token: string): Promise<void> {
  const deadline = Date.now() + 15_000
  const isGood = async (): Promise<boolean> => (await fetch(`${api.url}${WHO_AM_I}`, { headers: { authorization: `Bearer ${token}` } })).ok
  while (Date.now() < deadline && await isGood()) await sleep(250)
  const { status, body } = await askWhoAmI(say, api, token)
  say.got(`${status} ${codeOf(body)}`)
  assert.deepEqual([status, codeOf(body)], [401, 'key_revoked'])
}

export function kidOf (token: string): string {
  const { kid } = decodeProtectedHeader(token)
  assert(kid, 'a token names the key that signed it')
  return kid
}

async function askWhoAmI (say: Say, api: MetadataApi, token?: string): Promise<Answer> {
  return await ask(say, 'GET', `${api.url}${WHO_AM_I}`, token === undefined ? {} : { credentials: { bearer: token } })
}
