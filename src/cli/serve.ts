import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import type { Command } from 'commander'
import { configFromProcess, setDefault } from '../config.ts'

/** @param command how the reader calls this program */
export function addServeCommand (program: Command, command: string): void {
  program.command('serve').description('run the service').helpOption('--help').action(async () => {
    growYoungGenerationBy(1)
    const config = configFromProcess()
    fitThreadPool(config.workers)
    const { serve } = await import('../main.ts') // the other commands need no server
    await serve(config, command)
    growYoungGenerationBy(2)
    collectLessOften()
  })
}

/**
 * V8 makes the young generation larger when much of it survives. What a start loads survives all of it, so 20 MiB more would be
 * resident before the first request; held until then, it grows with the load (docs/decisions/0030-what-verifying-costs.md).
 * @param factor 2 is V8's own
 */
function growYoungGenerationBy (factor: 1 | 2): void {
  setFlagsFromString(`--semi-space-growth-factor=${factor}`)
}

/**
 * V8 marks the whole heap anew when it has grown by a tenth or so since, and by more only where that takes too much of the time. Each
 * time a thread that marks shares the core for a tenth of a second, and holds up whoever is being answered by turns of 4 ms.
 */
function collectLessOften (): void {
  setFlagsFromString('--heap-growing-percent=60')
}

/**
 * Signatures are made on Node's thread pool, which has four threads unless `UV_THREADPOOL_SIZE` says otherwise. More than there are
 * cores make no more of them, and each takes turns from the event loop. Two at least: a name that is looked up may take one for seconds.
 */
function fitThreadPool (workers: number): void {
  const cores = Math.ceil(availableParallelism() / workers)
  setDefault('UV_THREADPOOL_SIZE', String(Math.min(4, Math.max(2, cores))))
}
