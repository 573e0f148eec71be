/** Metrics of several worker processes as one: whichever worker Prometheus asks, it asks the primary for the sum over all. */
import cluster from 'node:cluster'
import { randomUUID } from 'node:crypto'
import { AggregatorRegistry, type Registry } from 'prom-client'

const ASK = 'mintmark:metrics?'
const ANSWER = 'mintmark:metrics!'
const TIMEOUT_MS = 5_000

interface Message {
  type: typeof ASK | typeof ANSWER
  id: string
  text?: string
}

/** In the primary: answers workers that ask. */
export function answerWorkers (): void {
  const aggregator = new AggregatorRegistry()
  cluster.on('message', (worker, message: Message) => {
    if (message.type !== ASK) return
    aggregator.clusterMetrics()
      .then(text => { if (worker.isConnected()) worker.send({ type: ANSWER, id: message.id, text } satisfies Message) })
      .catch(() => { /* the worker gives up by itself */ })
  })
}

/** In a worker: @returns a function that renders the metrics of all of them. */
export function shareMetrics (registry: Registry): () => Promise<string> {
  AggregatorRegistry.setRegistries([registry])
  new AggregatorRegistry().clear() // its constructor is what listens to the primary
  return async () => await new Promise((resolve, reject) => {
    const id = randomUUID()
    const end = (): void => {
      clearTimeout(timer)
      process.off('message', listen)
    }
    const listen = (message: Message): void => {
      if (message.type !== ANSWER || message.id !== id) return
      end()
      resolve(message.text ?? '')
    }
    const timer = setTimeout(() => {
      end()
      reject(new Error('the primary process did not answer'))
    }, TIMEOUT_MS)
    process.on('message', listen)
    process.send?.({ type: ASK, id } satisfies Message)
  })
}
