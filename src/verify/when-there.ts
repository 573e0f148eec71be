/**
 * Goes on with a value at once if it is there, and else when it is. Most are: a promise for each would cost more than the
 * checks themselves.
 */
export function whenThere<T, R> (value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
