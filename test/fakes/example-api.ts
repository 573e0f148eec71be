/** examples/metadata-api in the test's own process, with a clock that the test moves; mintmark and cognito-local in processes of their own. */
import type { FastifyInstance } from 'fastify'
import { openStage, type Environment } from '../../examples/demo/stage.ts'
import { buildApp } from '../../examples/metadata-api/app.ts'
import { readSettings } from '../../examples/metadata-api/settings.ts'
import { startSurroundings, type Surroundings } from '../../examples/metadata-api/try/town.ts'
import { movableClock, type MovableClock } from './clock.ts'
import type { Teardown } from './service.ts'

export const URL_OF_API = 'http://localhost:8585'

export interface ExampleApi extends MovableClock {
  app: FastifyInstance
}

export interface ExampleTown extends Surroundings {
  /** Starts an API with a database of its own. */
  startApi: (env?: Environment) => Promise<ExampleApi>
}

export async function startExampleTown (t: Teardown): Promise<ExampleTown> {
  const stage = await openStage()
  t.teardown(stage.close)
  const surroundings = await startSurroundings(stage, URL_OF_API)
  return {
    ...surroundings,
    async startApi (env = {}) {
      const time = movableClock(new Date())
      const app = await buildApp(readSettings({ ...surroundings.env, DATABASE_FILE: ':memory:', ...env }), {}, time.clock)
      t.teardown(async () => { await app.close() })
      return { app, ...time }
    }
  }
}
