import t from 'tap'
import { judgeByJose } from '../../src/verify/jose-judge.ts'
import type { VerifyError } from '../../src/verify/errors.ts'
import { startService } from '../fakes/service.ts'

await t.test('a verifier may ask for a token of certain pipelines', async t => {
  const service = await startService(t)
  const client = await service.bot('ingestion-bot')
  const token = await service.token(client, { mintmark_pipeline: 'glue' })
  const plain = await service.token(client)
  const outcome = async (raw: string, pipelines: string[]): Promise<string> => {
    try {
      await service.parts.verifier.verify(raw, judgeByJose, { pipelines })
      return 'ok'
    } catch (error) {
      return (error as VerifyError).code
    }
  }
  t.equal(await outcome(token, ['glue']), 'ok')
  t.equal(await outcome(token, ['other', 'glue']), 'ok', 'any of them will do')
  for (const pipelines of [['other'], ['GLUE'], []]) t.equal(await outcome(token, pipelines), 'role_insufficient', pipelines.join())
  t.equal(await outcome(plain, ['glue']), 'role_insufficient', 'a token for no pipeline is for none of them')

  const { checks } = await service.parts.verifier.explain(plain, judgeByJose, { pipelines: ['glue'] })
  t.match(checks.at(-1), { name: 'pipelines', outcome: 'failed', expected: 'glue', found: 'none', advice: /mintmark_pipeline/ })
})
