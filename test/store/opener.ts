/** A process that opens the databases that it is told to, and says how that went. */
import { openDatabase } from '../../src/store/database.ts'

process.on('message', url => {
  void openDatabase(String(url)).then(
    async database => {
      await database.close()
      process.send?.('opened')
    },
    (error: unknown) => { process.send?.(String(error)) })
})
process.send?.('ready')
