/** New RSA keys, made by a thread that gives way: to find two primes takes a tenth of a second or a whole one of a core, which tokens need, too. */
import type { KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** A thread's niceness is its own on Linux only (setpriority(2)); elsewhere it would be the whole process's. */
const GENERATE = `
  const { generateKeyPairSync } = require('node:crypto')
  const { setPriority } = require('node:os')
  const { parentPort, workerData } = require('node:worker_threads')
  if (process.platform === 'linux') setPriority(0, 19)
  parentPort.postMessage(generateKeyPairSync('rsa', { modulusLength: workerData, publicExponent: 65_537 }).privateKey)
`

/** @param size modulus length, in bits */
export async function generatePrivateKey (size: number): Promise<KeyObject> {
  const [privateKey] = await once(new Worker(GENERATE, { eval: true, workerData: size, execArgv: [] }), 'message') as [KeyObject]
  return privateKey
}
