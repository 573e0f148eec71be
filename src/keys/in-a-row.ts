/**
 * Has what follows on several results done in a row. On a busy core whoever computes them leaves nothing of the event loop's code in
 * the processor's caches: to go on with eight of them at once costs less than with each of them alone.
 */
export interface Row {
  /** A result is under way. */
  begin: () => void
  /** It is there. @param goOn is called when enough others are there too, or when fewer are under way than wait. Must not throw */
  end: (goOn: () => void) => void
}

/** @param most how many wait for each other */
export function createRow (most: number): Row {
  let underWay = 0
  let waiting: Array<() => void> = []

  return {
    begin () { underWay++ },
    end (goOn) {
      underWay--
      waiting.push(goOn)
      if (waiting.length < Math.min(most, underWay)) return
      const ready = waiting
      waiting = []
      for (const goOn of ready) goOn()
    }
  }
}
