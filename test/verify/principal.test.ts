/** A principal is remembered with its token: each caller gets a copy that is his own, down to the last claim. */
import t from 'tap'
import { copyOf, type Principal } from '../../src/verify/principal.ts'

function principalOf (claims: Record<string, unknown>): Principal {
  return { kind: 'bot', name: 'b', email: null, issuer: 'i', subject: 'b', clientId: 'b', audience: ['a'], roles: ['r'], groups: ['g'], scopes: ['s'], admin: false, legacy: false, tokenUse: 'access', tokenId: 'j', pipeline: null, runId: null, issuedAt: null, expiresAt: null, claims }
}

await t.test('nobody shares what another got', async t => {
  const claims = { roles: ['r'], deep: { list: [{ a: 1 }, [1, null, 'x']] }, none: null }
  const told = principalOf(claims)
  const copy = copyOf(told)
  t.strictSame(copy, told)
  for (const list of [copy.audience, copy.roles, copy.groups, copy.scopes, copy.claims.roles as string[]]) list.push('admin')
  Object.assign(copy.claims, { scope: 'admin' })
  Object.assign((copy.claims.deep as { list: object[] }).list[0] ?? {}, { a: 3 })
  Object.assign(copy, { admin: true })
  t.strictSame(told, principalOf({ roles: ['r'], deep: { list: [{ a: 1 }, [1, null, 'x']] }, none: null }))
})

await t.test('a claim __proto__ stays a claim, and becomes nobody\'s prototype', async t => {
  const { claims } = copyOf(principalOf(JSON.parse('{"__proto__":{"isBot":true},"in":{"__proto__":{"isBot":true}}}') as Record<string, unknown>))
  for (const object of [claims, claims.in as Record<string, unknown>]) {
    t.equal(object.isBot, undefined)
    t.ok(Object.hasOwn(object, '__proto__'))
    t.equal(Object.getPrototypeOf(object), Object.prototype)
  }
})
