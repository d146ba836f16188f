import type { LoggedChange } from '../ledger'

/** The last change of every key, in the order of seq. Superseded changes are dropped when they are the most. */
export class ChangeLog {
  #changes: LoggedChange[] = []
  readonly #last = new Map<string, LoggedChange>()

  /** Changes that are held, superseded ones included. */
  get length(): number {
    return this.#changes.length
  }

  add(seq: number, key: string, tag: string): void {
    const change = { seq, key, tag }
    this.#changes.push(change)
    this.#last.set(key, change)
    if (this.#changes.length > 2 * this.#last.size + 64)
      this.#changes = this.#changes.filter((it) => this.#last.get(it.key) === it)
  }

  after(seq: number, limit: number): LoggedChange[] {
    let low = 0
    let high = this.#changes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#changes[middle]!.seq > seq) high = middle
      else low = middle + 1
    }
    const found: LoggedChange[] = []
    for (; low < this.#changes.length && found.length < limit; low++) {
      const change = this.#changes[low]!
      if (this.#last.get(change.key) === change) found.push(change)
    }
    return found
  }
}
