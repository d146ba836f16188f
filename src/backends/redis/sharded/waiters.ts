/** Those who wait for something to be written to a tag, in this process: they look again at once. */
export class Waiters {
  readonly #waiting = new Map<string, Set<() => void>>()

  /** Calls `wake` with the next write; the function that is returned ends it. */
  add(tag: string, wake: () => void): () => void {
    const of = this.#waiting.get(tag) ?? new Set()
    this.#waiting.set(tag, of)
    of.add(wake)
    return () => {
      of.delete(wake)
      if (of.size === 0) this.#waiting.delete(tag)
    }
  }

  wake(tag: string): void {
    const waiting = this.#waiting.get(tag)
    if (waiting) for (const wake of [...waiting]) wake()
  }
}

const ofRouters = new WeakMap<object, Waiters>()

/** The same ones for all clients of a router. */
export function waitersOf(router: object): Waiters {
  let waiters = ofRouters.get(router)
  if (!waiters) {
    waiters = new Waiters()
    ofRouters.set(router, waiters)
  }
  return waiters
}
