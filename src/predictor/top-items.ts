/** The k items with the highest scores among all that are offered, in a heap: n items cost O(n + k log k log n) on average. */
export class TopItems {
  readonly #k: number
  /** A heap whose root is the least: by score, then the later item. */
  readonly #items: number[] = []
  readonly #scores: number[] = []

  constructor(k: number) {
    this.#k = k
  }

  offer(item: number, score: number): void {
    const items = this.#items
    const scores = this.#scores
    if (items.length < this.#k) {
      let at = items.length
      while (at > 0) {
        const parent = (at - 1) >> 1
        if (!this.#below(item, score, items[parent]!, scores[parent]!)) break
        items[at] = items[parent]!
        scores[at] = scores[parent]!
        at = parent
      }
      items[at] = item
      scores[at] = score
      return
    }
    if (items.length === 0 || !this.#below(items[0]!, scores[0]!, item, score)) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (
        child + 1 < items.length &&
        this.#below(items[child + 1]!, scores[child + 1]!, items[child]!, scores[child]!)
      )
        child++
      if (!this.#below(items[child]!, scores[child]!, item, score)) break
      items[at] = items[child]!
      scores[at] = scores[child]!
      at = child
    }
    items[at] = item
    scores[at] = score
  }

  /** The best first; of equals the earlier item. */
  items(): number[] {
    const order = this.#items.map((item, k) => ({ item, score: this.#scores[k]! }))
    order.sort((a, b) => b.score - a.score || a.item - b.item)
    return order.map(({ item }) => item)
  }

  #below(item: number, score: number, other: number, otherScore: number): boolean {
    return score < otherScore || (score === otherScore && item > other)
  }
}
