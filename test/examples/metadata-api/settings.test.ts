/** The env file of OpenMetadata's Cognito guide is all that examples/metadata-api needs, with mintmark's address. */
import t from 'tap'
import { readSettings } from '../../../examples/metadata-api/settings.ts'

const GUIDE = {
  AUTHORIZER_CLASS_NAME: 'org.openmetadata.service.security.DefaultAuthorizer',
  AUTHORIZER_ADMIN_PRINCIPALS: '[admin]  # Your `name` from name@domain.com',
  AUTHORIZER_PRINCIPAL_DOMAIN: 'open-metadata.org # Update with your domain',
  AUTHENTICATION_PROVIDER: 'aws-cognito',
  AUTHENTICATION_PUBLIC_KEYS: '[https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8/.well-known/jwks.json]',
  AUTHENTICATION_AUTHORITY: 'https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8 # Update with your Cognito Domain and User Pool ID',
  AUTHENTICATION_CLIENT_ID: '4kd2bq0example7n1v9c3p5t8u',
  AUTHENTICATION_CALLBACK_URL: 'http://localhost:8585/callback'
}

await t.test('as the guide has it, comments and all', async t => {
  const { callbackUrl, ...settings } = readSettings(GUIDE)
  t.equal(callbackUrl.href, 'http://localhost:8585/callback')
  t.strictSame(settings, {
    issuer: 'http://localhost:8590',
    allowHttp: false,
    audience: ['metadata-api'],
    authority: 'https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8',
    clientId: '4kd2bq0example7n1v9c3p5t8u',
    principalClaims: ['email', 'preferred_username', 'sub'],
    principalDomain: 'open-metadata.org',
    enforcePrincipalDomain: false,
    adminPrincipals: ['admin'],
    adminGroups: [],
    trustProxy: [],
    databaseFile: 'data/metadata.db',
    sessionSecret: null,
    host: 'localhost',
    port: 8585
  })
})

await t.test('lists in either form, and where to listen', async t => {
  t.match(readSettings({ ...GUIDE, MINTMARK_ADMIN_GROUPS: '["admins", \'data stewards\']', AUTHENTICATION_CALLBACK_URL: 'http://localhost:9000/callback' }), { adminGroups: ['admins', 'data stewards'], port: 9000 })
  t.match(readSettings({ ...GUIDE, MINTMARK_ADMIN_GROUPS: 'a,b', AUTHENTICATION_CALLBACK_URL: 'https://metadata.example.com/callback' }), { adminGroups: ['a', 'b'], port: 8585 })
})

await t.test('all faults at once', async t => {
  t.throws(() => readSettings({ AUTHENTICATION_CALLBACK_URL: 'callback', SESSION_SECRET: 'short', PORT: 'x' }), {
    message: /^(?=[^]*AUTHENTICATION_AUTHORITY takes)(?=[^]*AUTHENTICATION_CLIENT_ID takes)(?=[^]*AUTHENTICATION_CALLBACK_URL takes)(?=[^]*SESSION_SECRET takes)(?=[^]*PORT takes)(?![^]*short)/
  })
})
