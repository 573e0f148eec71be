/** Several processes on one port (`MINTMARK_WORKERS`): the primary starts them, replaces those that die, and ends with them. */
import cluster from 'node:cluster'
import closeWithGrace from 'close-with-grace'
import { answerWorkers } from './telemetry/cluster-metrics.ts'
import type { Log } from './telemetry/log.ts'

/** A worker that cannot start must not be started in a tight loop. */
const RESTART_AFTER_MS = 1_000

/** Starts `count` workers, each of which runs this program anew. Ends with them on SIGTERM or Ctrl-C. */
export function startWorkers (count: number, log: Log): void {
  let closing = false
  answerWorkers()
  for (let number = 0; number < count; number++) cluster.fork()

  cluster.on('exit', (worker, code, signal) => {
    if (closing) return
    log.error({ worker: worker.process.pid, code, signal }, 'a worker has ended; starting another')
    setTimeout(() => { if (!closing) cluster.fork() }, RESTART_AFTER_MS)
  })

  closeWithGrace({ delay: 9_500, logger: false }, async ({ signal, err }) => {
    closing = true
    if (err) log.fatal({ err }, 'closing after an error')
    else log.info(`closing on ${signal ?? 'request'}`)
    const workers = Object.values(cluster.workers ?? {}).filter(worker => worker !== undefined)
    await Promise.all(workers.map(async worker => {
      const ended = new Promise(resolve => worker.once('exit', resolve))
      worker.process.kill('SIGTERM')
      await ended
    }))
    log.info('closed')
  })
}
