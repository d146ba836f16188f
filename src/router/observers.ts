import type { AccessLogEntry } from '../tracking/access-log'

export type AccessListener = (entry: AccessLogEntry) => void

/** Those who want to see every access. They stand outside the data path: what one of them throws ends there. */
export class Observers {
  #listeners: readonly AccessListener[] = []
  readonly #onFailure: (error: unknown) => void

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure
  }

  /** Whether anybody listens: entries need not be built otherwise. */
  get any(): boolean {
    return this.#listeners.length > 0
  }

  /** Returns the function that ends it. */
  add(listener: AccessListener): () => void {
    // Its own entry, also where the same function observes twice.
    const own: AccessListener = (entry) => listener(entry)
    this.#listeners = [...this.#listeners, own]
    return () => {
      this.#listeners = this.#listeners.filter((it) => it !== own)
    }
  }

  tell(entry: AccessLogEntry): void {
    for (const listener of this.#listeners) {
      try {
        listener(entry)
      } catch (error) {
        this.#onFailure(error)
      }
    }
  }
}
