/** An expiry that was once set. It is out of date when the entry has another one by now. */
export interface Expiry {
  readonly at: number
  readonly bucketId: number
  readonly key: string
}

/**
 * Expiries, the earliest first: a binary heap. An overwritten entry leaves its old expiry behind; `compact` drops what
 * is out of date, so that a key whose life is prolonged every second does not fill the memory.
 */
export class ExpiryQueue {
  #heap: Expiry[] = []

  get length(): number {
    return this.#heap.length
  }

  peek(): Expiry | undefined {
    return this.#heap[0]
  }

  push(item: Expiry): void {
    const heap = this.#heap
    let at = heap.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.at <= item.at) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = item
  }

  pop(): Expiry | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (heap.length === 0 || !last) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++
      if (heap[child]!.at >= last.at) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }

  compact(isCurrent: (item: Expiry) => boolean): void {
    // A sorted array is a heap.
    this.#heap = this.#heap.filter(isCurrent).sort((a, b) => a.at - b.at)
  }
}
