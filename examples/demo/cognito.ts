/** Amazon Cognito, played by the `cognito-local` package: the real emulator in a process of its own, asked as AWS is asked. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, type Stage } from './stage.ts'

export interface Cognito {
  url: string
}

export interface User {
  username: string
  email: string
  password: string
}

export interface UserTokens {
  idToken: string
  accessToken: string
}

const PROGRAM = fileURLToPath(import.meta.resolve('cognito-local/lib/bin/start.js'))
const ANSWER_WITHIN_MS = 10_000

/**
 * Starts the emulator on a free port, with nothing in it.
 * @param issuerDomain what its tokens name as their issuer, before the pool's id; its own address by default
 */
export async function startCognito (stage: Stage, issuerDomain?: string): Promise<Cognito> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const cwd = join(stage.folder, 'cognito')
  await mkdir(join(cwd, '.cognito'), { recursive: true })
  await writeFile(join(cwd, '.cognito', 'config.json'), JSON.stringify({
    // Without this, tokens name the default port as their issuer.
    TokenConfig: { IssuerDomain: issuerDomain ?? url },
    ServerConfig: { hostname: '127.0.0.1', port },
    // Like a pool whose users sign in by a name of their own, not by their e-mail address.
    UserPoolDefaults: { UsernameAttributes: [] }
  }))
  const env = { AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE: '1' }
  await stage.serve({ name: 'cognito-local', args: [PROGRAM], env, cwd }, `${url}/health`)
  return { url }
}

/** The `iss` of the pool's tokens; its keys are at `/.well-known/jwks.json` below. */
export function issuerOf ({ url }: Cognito, poolId: string): string {
  return `${url}/${poolId}`
}

/** @returns the pool's id */
export async function createUserPool (cognito: Cognito, name: string): Promise<string> {
  const { UserPool } = await call(cognito, 'CreateUserPool', { PoolName: name }) as { UserPool: { Id: string } }
  return UserPool.Id
}

/**
 * An app client without a secret, as browsers and command lines use.
 * @param callbackUrls where the hosted UI may send people back to
 * @returns its id, and the secret that it must not have
 */
export async function createPublicClient (cognito: Cognito, poolId: string, name: string, callbackUrls: readonly string[] = []): Promise<{ clientId: string, clientSecret: string | undefined }> {
  // An hour is what Cognito gives if it is not told otherwise; the emulator would give a day.
  const validity = { IdTokenValidity: 60, AccessTokenValidity: 60, TokenValidityUnits: { IdToken: 'minutes', AccessToken: 'minutes' } }
  const request = { UserPoolId: poolId, ClientName: name, GenerateSecret: false, ExplicitAuthFlows: ['ALLOW_USER_PASSWORD_AUTH'], CallbackURLs: callbackUrls, ...validity }
  const { UserPoolClient: client } = await call(cognito, 'CreateUserPoolClient', request) as { UserPoolClient: { ClientId: string, ClientSecret?: string } }
  return { clientId: client.ClientId, clientSecret: client.ClientSecret }
}

/** A user with a verified e-mail address, whose password need not be changed at the first sign-in. */
export async function createUser (cognito: Cognito, poolId: string, { username, email, password }: User): Promise<void> {
  const user = { UserPoolId: poolId, Username: username }
  const attributes = [{ Name: 'email', Value: email }, { Name: 'email_verified', Value: 'true' }]
  await call(cognito, 'AdminCreateUser', { ...user, UserAttributes: attributes, MessageAction: 'SUPPRESS' })
  await call(cognito, 'AdminSetUserPassword', { ...user, Password: password, Permanent: true })
}

export async function createGroup (cognito: Cognito, poolId: string, group: string): Promise<void> {
  await call(cognito, 'CreateGroup', { UserPoolId: poolId, GroupName: group })
}

export async function addToGroup (cognito: Cognito, poolId: string, { username }: User, group: string): Promise<void> {
  await call(cognito, 'AdminAddUserToGroup', { UserPoolId: poolId, Username: username, GroupName: group })
}

export async function deleteUser (cognito: Cognito, poolId: string, { username }: User): Promise<void> {
  await call(cognito, 'AdminDeleteUser', { UserPoolId: poolId, Username: username })
}

/** Throws if the emulator gives no tokens: the password is wrong, or it asks for more. */
export async function signIn (cognito: Cognito, clientId: string, { username, password }: User): Promise<UserTokens> {
  const request = { AuthFlow: 'USER_PASSWORD_AUTH', ClientId: clientId, AuthParameters: { USERNAME: username, PASSWORD: password } }
  const { AuthenticationResult: tokens, ChallengeName } = await call(cognito, 'InitiateAuth', request) as
    { AuthenticationResult?: { IdToken: string, AccessToken: string }, ChallengeName?: string }
  if (!tokens) throw new Error(`cognito-local asks for ${ChallengeName ?? 'something else'} instead of giving tokens`)
  return { idToken: tokens.IdToken, accessToken: tokens.AccessToken }
}

async function call ({ url }: Cognito, action: string, request: object): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `AWSCognitoIdentityProviderService.${action}` },
    body: JSON.stringify(request),
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS)
  })
  const answer = await response.text()
  if (!response.ok) throw new Error(`cognito-local refused ${action} with ${response.status}: ${answer}`)
  return answer === '' ? null : JSON.parse(answer)
}
