/** The process: settings → app → listen → close gracefully. */
import closeWithGrace from 'close-with-grace'
import { buildApp } from './app.ts'
import { readSettings } from './settings.ts'

const logger = {
  level: process.env.LOG_LEVEL ?? 'info',
  // Without the query: the hosted UI's codes come in it.
  serializers: { req: ({ method, url }: { method: string, url: string }) => ({ method, path: url.split('?')[0] }) }
}

try {
  const settings = readSettings(process.env)
  const app = await buildApp(settings, { logger })
  closeWithGrace({ delay: 10_000 }, async () => { await app.close() })
  await app.listen({ host: settings.host, port: settings.port })
} catch (error) {
  console.error((error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? `${(error as Error).message}: end what listens there, or take another port by AUTHENTICATION_CALLBACK_URL` : (error as Error).message)
  process.exit(1)
}
