import { LONGEST_TRANSACTION } from './transactions'

/** Share of the pairwise tie in the affinity of longer transactions: it shows the way while no single move mends one. */
const PAIRWISE = 0.3

/** A transaction as the planner sees it: the items it touches, and how often it is expected. */
export interface CoAccess {
  readonly items: Int32Array
  readonly weight: number
}

/**
 * The co-access graph over items (buckets and tags), and how much of it a placement cuts. A transaction over n items
 * ties each pair by weight / (n − 1). Kept up to date under moves:
 *
 *     affinity(i, s) = the weight of the transactions that lie on shard s altogether once item i does,
 *
 * mixed with the pairwise tie of i to the items on s. Moving i from a to b uncrosses affinity(i, b) − affinity(i, a).
 */
export class CoAccessGraph {
  readonly #transactions: readonly CoAccess[]
  /** item -> indices into #transactions. */
  readonly #of: (number[] | undefined)[]
  readonly #shardOf: Int32Array
  readonly #shards: number
  /** item · shards + shard. */
  readonly #affinity: Float32Array
  /** Marks of the last `uncrossed`, by item and by transaction: cheaper than two sets for every question. */
  readonly #moving: Int32Array
  readonly #seen: Int32Array
  #stamp = 0
  /** Of all multi-key transactions, those within one item and those too long to tie anything included. */
  readonly total: number

  /** `shardOf`: item -> shard; only ever changed by `move`. `total`: weight of all multi-key transactions. */
  constructor(transactions: readonly CoAccess[], total: number, shardOf: Int32Array, shards: number) {
    this.#transactions = merged(transactions)
    this.#moving = new Int32Array(shardOf.length)
    this.#seen = new Int32Array(this.#transactions.length)
    this.#of = new Array(shardOf.length)
    this.#shardOf = shardOf.slice()
    this.#shards = shards
    this.#affinity = new Float32Array(transactions.length > 0 ? shardOf.length * shards : 0)
    this.total = total
    this.#transactions.forEach((transaction, index) => {
      for (const item of transaction.items) {
        const of = this.#of[item]
        if (of) of.push(index)
        else this.#of[item] = [index]
      }
      this.#tie(transaction, 1)
    })
  }

  get empty(): boolean {
    return this.#transactions.length === 0
  }

  /** Weight of the transactions that an item takes part in. */
  degree(item: number): number {
    let sum = 0
    for (const index of this.#of[item] ?? []) sum += this.#transactions[index]!.weight
    return sum
  }

  /** Weight of the transactions that would lie on the shard altogether, if the item did. */
  affinity(item: number, shard: number): number {
    return this.#affinity[item * this.#shards + shard] ?? 0
  }

  /** The shard that the item is most tied to. */
  strongest(item: number): number {
    let best = 0
    for (let shard = 1; shard < this.#shards; shard++)
      if (this.affinity(item, shard) > this.affinity(item, best)) best = shard
    return best
  }

  /** Weight of what two items alone are accessed together in, and their part in longer transactions. */
  tie(a: number, b: number): number {
    let sum = 0
    for (const index of this.#of[a] ?? []) {
      const { items, weight } = this.#transactions[index]!
      if (items.length <= LONGEST_TRANSACTION && items.includes(b)) sum += weight / (items.length - 1)
    }
    return sum
  }

  /** The other items by their tie to this one, strongest first. */
  neighbours(item: number): { item: number; weight: number }[] {
    const ties = new Map<number, number>()
    for (const index of this.#of[item] ?? []) {
      const { items, weight } = this.#transactions[index]!
      if (items.length > LONGEST_TRANSACTION) continue
      for (const other of items)
        if (other !== item) ties.set(other, (ties.get(other) ?? 0) + weight / (items.length - 1))
    }
    return [...ties]
      .map(([other, weight]) => ({ item: other, weight }))
      .sort((a, b) => b.weight - a.weight || a.item - b.item)
  }

  move(item: number, to: number): void {
    const touched = this.#of[item] ?? []
    for (const index of touched) this.#tie(this.#transactions[index]!, -1)
    this.#shardOf[item] = to
    for (const index of touched) this.#tie(this.#transactions[index]!, 1)
  }

  /** Weight that would be uncrossed if these items moved together; exact. Negative if more would cross. */
  uncrossed(items: readonly number[], to: number): number {
    const stamp = ++this.#stamp
    const shardOf = this.#shardOf
    for (const item of items) this.#moving[item] = stamp
    let gain = 0
    for (const item of items)
      for (const index of this.#of[item] ?? []) {
        if (this.#seen[index] === stamp) continue
        this.#seen[index] = stamp
        const { items: touched, weight } = this.#transactions[index]!
        const before = shardOf[touched[0]!]!
        const after = this.#moving[touched[0]!] === stamp ? to : before
        let crosses = false
        let willCross = false
        for (let k = 1; k < touched.length && !(crosses && willCross); k++) {
          const shard = shardOf[touched[k]!]!
          if (shard !== before) crosses = true
          if ((this.#moving[touched[k]!] === stamp ? to : shard) !== after) willCross = true
        }
        if (crosses !== willCross) gain += crosses ? weight : -weight
      }
    return gain
  }

  /** Share of the multi-key transactions that touch two shards or more. */
  crossing(shardOf: Int32Array = this.#shardOf): number {
    if (this.total <= 0) return 0
    let sum = 0
    for (const { items, weight } of this.#transactions)
      for (let k = 1; k < items.length; k++)
        if (shardOf[items[k]!] !== shardOf[items[0]!]) {
          sum += weight
          break
        }
    return sum / this.total
  }

  #tie({ items, weight }: CoAccess, sign: 1 | -1): void {
    const n = items.length
    if (n > LONGEST_TRANSACTION) return
    const shardOf = this.#shardOf
    const affinity = this.#affinity
    const share = n === 2 ? 0 : PAIRWISE
    for (let k = 0; k < n; k++) {
      const row = items[k]! * this.#shards
      let uniform = -1
      for (let l = 0; l < n; l++) {
        if (l === k) continue
        const shard = shardOf[items[l]!]!
        if (uniform === -1) uniform = shard
        else if (uniform !== shard) uniform = -2
        if (share > 0) affinity[row + shard]! += (sign * share * weight) / (n - 1)
      }
      if (uniform >= 0) affinity[row + uniform]! += sign * (1 - share) * weight
    }
  }
}

/** Transactions over the same items as one: what is accessed together is so again and again. */
function merged(transactions: readonly CoAccess[]): CoAccess[] {
  const byItems = new Map<string, { items: Int32Array; weight: number }>()
  for (const { items, weight } of transactions) {
    const sorted = items.slice().sort()
    const key = sorted.join()
    const known = byItems.get(key)
    if (known) known.weight += weight
    else byItems.set(key, { items: sorted, weight })
  }
  return [...byItems.values()]
}
