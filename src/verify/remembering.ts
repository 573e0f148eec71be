/**
 * Makes a value for a key once: for things that are few and asked for again and again.
 * @param most how many are remembered; when there are as many, all are forgotten, and it begins anew
 * @param make `undefined` is not remembered
 */
export function remembering<Key, Value> (most: number, make: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>()
  return key => {
    const there = known.get(key)
    if (there !== undefined) return there
    const made = make(key)
    if (made === undefined) return made
    if (known.size >= most) known.clear()
    known.set(key, made)
    return made
  }
}
