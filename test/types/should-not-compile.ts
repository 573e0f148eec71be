/**
 * Forgetting a check does not compile. Each line that ends in `// TS<number>` must be refused with that error;
 * test/plugin/types.test.ts sees to it that these are, and that nothing else is.
 */
import Fastify from 'fastify'
import mintmark, { type MintmarkOptions } from 'mintmark'

const app = Fastify()
const issuer = 'https://tokens.example.com'
const pool = { userPoolId: 'us-west-1_DL8xfTzj8', clientId: 'x' }

// What is whole compiles, and so does what is skipped on purpose.
await app.register(mintmark, { issuer, audience: 'metadata-api' })
await app.register(mintmark, { issuer, audience: ['one', 'two'], cognito: [pool, { issuer: 'https://pool.example', clientId: ['x'] }] })
await app.register(mintmark, { issuer, audience: null, cognito: { userPoolId: 'us-west-1_DL8xfTzj8', clientId: null } })
app.get('/me', { onRequest: app.authenticate }, async request => request.principal.name)
app.put('/me', { onRequest: app.authorize({ kinds: ['bot'], scopes: ['metadata:write'], roles: ['R'], groups: ['g'], admin: true }) }, async request => request.principal.name)
app.get('/session', async () => (await app.verifyToken('x.y.z', { kinds: ['user'] })).name)
app.get('/any', { onRequest: [app.authorize({}), app.authorize({ kinds: ['bot', 'user'] as const })] }, async () => 'x')

export const withoutAudience: MintmarkOptions = { issuer } // TS2741
export const withUndefinedAudience: MintmarkOptions = { issuer, audience: undefined } // TS2322
export const withoutIssuer: MintmarkOptions = { audience: 'metadata-api' } // TS2741
export const withoutClient: MintmarkOptions = { issuer, audience: 'metadata-api', cognito: { userPoolId: 'us-west-1_DL8xfTzj8' } } // TS2322
export const withUndefinedClient: MintmarkOptions = { issuer, audience: 'metadata-api', cognito: { ...pool, clientId: undefined } } // TS2322
export const withoutClientInAList: MintmarkOptions = { issuer, audience: null, cognito: [pool, { issuer: 'https://pool.example' }] } // TS2322
export const withPoolTwice: MintmarkOptions = { issuer, audience: null, cognito: { ...pool, issuer: 'https://pool.example' } } // TS2322
await app.register(mintmark, { issuer }) // TS2769
await app.register(mintmark) // TS2769
app.get('/typo', { onRequest: app.authenticated }, async () => 'x') // TS2551
app.get('/principal', async request => request.principal.isAdmin) // TS2551
app.authorize() // TS2554
app.authorize({ scope: ['metadata:write'] }) // TS2561
app.authorize({ audience: ['metadata-api'] }) // TS2353
app.authorize({ kinds: ['robot'] }) // TS2820
app.authorize({ scopes: 'metadata:write' }) // TS2322
app.authorize({ roles: [1] }) // TS2322
app.authorize({ groups: undefined }) // TS2379
app.authorize({ admin: 'yes' }) // TS2322
await app.verifyToken() // TS2554
await app.verifyToken('x.y.z', { scope: ['metadata:write'] }) // TS2561
app.get('/typo', { onRequest: app.authorise({}) }, async () => 'x') // TS2551
