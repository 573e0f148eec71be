/**
 * What Kubernetes, GitHub Actions, AWS and SPIFFE document of the tokens of their workloads, held against the trust rules that one
 * would write for them, with the keys in a file as for an issuer that cannot be reached.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { TrustRule } from '../../src/bots/bot.ts'
import { askAs, postForm } from '../fakes/asking.ts'
import { openToken } from '../fakes/pool-forge.ts'
import { startService, temporaryFolder } from '../fakes/service.ts'
import { makeSigner } from '../fakes/signers.ts'

interface Documented {
  platform: string
  alg: string
  issuer: string
  header?: Record<string, unknown>
  /** Without times. */
  claims: Record<string, unknown>
  rule: Partial<TrustRule>
  /** What the bot's token then says. */
  expected?: Record<string, unknown>
  /** The same workload's neighbours, who must not get in. */
  others: Array<Record<string, unknown>>
  /** What the platform's JWKS says of the key beyond the key itself. */
  jwk?: Record<string, unknown>
}

const AUDIENCE = 'https://tokens.example.com'

const DOCUMENTED: Documented[] = [
  {
    // kubernetes.io, Managing Service Accounts: a token that is bound to a pod
    platform: 'Kubernetes',
    alg: 'RS256',
    issuer: 'https://kubernetes.default.svc.cluster.local',
    claims: {
      aud: [AUDIENCE],
      jti: 'aed34954-b33a-4142-b1ec-389d6bbb4936',
      'kubernetes.io': {
        namespace: 'data',
        node: { name: 'my-node', uid: '646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1' },
        pod: { name: 'ingestion-28490', uid: '5e0bd49b-f040-43b0-99b7-22765a53f7f3' },
        serviceaccount: { name: 'ingestion', uid: '14ee3fa4-a7e2-420f-9f9a-dbc4507c3798' },
        warnafter: 1_795_345_207
      },
      sub: 'system:serviceaccount:data:ingestion'
    },
    rule: { subject: 'system:serviceaccount:data:ingestion', claims: { '/kubernetes.io/serviceaccount/uid': '14ee3fa4-a7e2-420f-9f9a-dbc4507c3798' }, runClaim: '/kubernetes.io/pod/name' },
    expected: { run_id: 'ingestion-28490' },
    others: [
      { sub: 'system:serviceaccount:data:ingestion-2' },
      { sub: 'system:serviceaccount:other:ingestion' },
      { aud: ['https://kubernetes.default.svc.cluster.local'] },
      { 'kubernetes.io': { serviceaccount: { uid: 'of an account that was made anew' }, pod: { name: 'x' } } }
    ]
  },
  {
    // docs.github.com, OpenID Connect reference
    platform: 'GitHub Actions',
    alg: 'RS256',
    issuer: 'https://token.actions.githubusercontent.com',
    header: { typ: 'JWT', x5t: 'example-thumbprint' },
    claims: {
      jti: 'example-id',
      sub: 'repo:octo-org/octo-repo:environment:prod',
      environment: 'prod',
      aud: AUDIENCE,
      ref: 'refs/heads/main',
      sha: 'example-sha',
      repository: 'octo-org/octo-repo',
      repository_owner: 'octo-org',
      actor_id: '12',
      repository_visibility: 'private',
      repository_id: '74',
      repository_owner_id: '65',
      run_id: '1234567890',
      run_number: '10',
      run_attempt: '2',
      runner_environment: 'github-hosted',
      actor: 'octocat',
      workflow: 'daily ingestion',
      head_ref: '',
      base_ref: '',
      event_name: 'workflow_dispatch',
      ref_type: 'branch',
      job_workflow_ref: 'octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main'
    },
    rule: { subject: 'repo:octo-org/octo-repo:*', claims: { repository_id: '74', ref: 'refs/heads/main' }, pipelineClaim: 'workflow', runClaim: 'run_id' },
    expected: { pipeline: 'daily ingestion', run_id: '1234567890' },
    others: [
      { sub: 'repo:octo-org/octo-repo-2:environment:prod' },
      { sub: 'repo:mallory/octo-org/octo-repo:environment:prod' },
      { repository_id: '75' },
      { sub: 'repo:octo-org/octo-repo:pull_request', ref: 'refs/pull/1/merge' },
      { aud: 'https://github.com/octo-org' }
    ]
  },
  {
    // docs.aws.amazon.com, IAM: Understanding token claims (outbound identity federation)
    platform: 'AWS, by sts:GetWebIdentityToken',
    alg: 'ES384',
    issuer: 'https://abc123-def456-ghi789-jkl012.tokens.sts.global.api.aws',
    claims: {
      aud: AUDIENCE,
      sub: 'arn:aws:iam::123456789012:role/DataProcessingRole',
      jti: 'xyz123-def456-ghi789-jkl012',
      'https://sts.amazonaws.com/': {
        aws_account: '123456789012',
        source_region: 'us-east-1',
        org_id: 'o-abc1234567',
        principal_tags: { environment: 'production', team: 'data-engineering' },
        request_tags: { 'job-id': 'job-2024-001', priority: 'high' }
      }
    },
    rule: { subject: 'arn:aws:iam::123456789012:role/DataProcessingRole', claims: { '/https:~1~1sts.amazonaws.com~1/org_id': 'o-abc1234567' }, runClaim: '/https:~1~1sts.amazonaws.com~1/request_tags/job-id' },
    expected: { run_id: 'job-2024-001' },
    others: [
      { sub: 'arn:aws:iam::123456789012:role/DataProcessingRole2' },
      { sub: 'arn:aws:iam::999999999999:role/DataProcessingRole' },
      { 'https://sts.amazonaws.com/': { org_id: 'o-another', request_tags: { 'job-id': 'job-2024-001' } } }
    ]
  },
  {
    platform: 'AWS EKS',
    alg: 'RS256',
    issuer: 'https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE',
    claims: { aud: [AUDIENCE], sub: 'system:serviceaccount:data:ingestion', 'kubernetes.io': { namespace: 'data', serviceaccount: { name: 'ingestion', uid: 'example-uid' } } },
    rule: { subject: 'system:serviceaccount:data:*' },
    others: [{ sub: 'system:serviceaccount:data:' }, { sub: 'system:serviceaccount:database:x' }, { aud: ['sts.amazonaws.com'] }]
  },
  {
    // spiffe.io, JWT-SVID 3: sub, aud and exp; keys of a bundle are for jwt-svid
    platform: 'SPIFFE',
    alg: 'ES256',
    issuer: 'https://oidc.prod.example.org',
    header: { typ: 'JOSE' },
    claims: { aud: [AUDIENCE], sub: 'spiffe://prod.example.org/ns/data/sa/ingestion' },
    rule: { subject: 'spiffe://prod.example.org/ns/data/*' },
    others: [{ sub: 'spiffe://prod.example.org/ns/data' }, { sub: 'spiffe://prod.example.org.evil.example/ns/data/sa/ingestion' }, { sub: 'spiffe://staging.example.org/ns/data/sa/ingestion' }],
    jwk: { use: 'jwt-svid', alg: undefined }
  }
]

for (const { platform, alg, issuer, header, claims, rule, expected = {}, others, jwk } of DOCUMENTED) {
  await t.test(platform, async t => {
    const signer = await makeSigner(alg)
    const file = join(temporaryFolder(t), 'jwks.json')
    writeFileSync(file, JSON.stringify({ keys: [{ ...signer.jwk, ...jwk }] }))
    const service = await startService(t, { MINTMARK_TRUSTED_ISSUERS: `["${issuer}=${file}"]` })
    await service.bot('ingestion-bot', { scopes: ['metadata:write'] })
    const asAdmin = askAs(service.app, await service.adminToken())
    const set = await asAdmin('PUT', '/admin/bots/ingestion-bot/trust', [{ issuer, audience: AUDIENCE, ...rule }])
    t.equal(set.statusCode, 200, set.body)

    const now = service.clock().getTime() / 1000
    const ask = async (changes: Record<string, unknown>): ReturnType<typeof postForm> => await postForm(service.app, '/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: await signer.sign({ iss: issuer, iat: now, nbf: now, exp: now + 600, ...claims, ...changes }, header),
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt'
    })
    const answer = await ask({})
    t.equal(answer.statusCode, 200, answer.body)
    t.match(openToken(answer.json<{ access_token: string }>().access_token).payload, { sub: 'ingestion-bot', scope: 'metadata:write', ...expected })
    for (const changes of others) t.match((await ask(changes)).json<object>(), { error: 'invalid_grant' }, JSON.stringify(changes))
  })
}
