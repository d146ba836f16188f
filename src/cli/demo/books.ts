import { HashRing } from '../../placement/ring'

/** Load and transactions of one week under one placement. */
export interface Week {
  /** Mean over intervals of max shard load / mean shard load. */
  imbalance: number
  /** Share of the transactions that touched two shards or more. */
  crossing: number
  /** Share of the week's load, per shard. */
  share: Map<string, number>
}

/**
 * Keeps the books of one placement while the transactions pass: who served what, interval by interval. Two of these run side by
 * side, one told where Foreshard serves a key, the other where the ring alone would.
 */
export class Ledger {
  readonly #intervalMs: number
  readonly #intervals = new Map<number, Map<string, number>>()
  #transactions = 0
  #crossing = 0

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  /** Notes one transaction: the shards of its keys. */
  note(at: number, shards: readonly string[]): void {
    const interval = Math.floor(at / this.#intervalMs)
    let loads = this.#intervals.get(interval)
    if (!loads) {
      loads = new Map()
      this.#intervals.set(interval, loads)
    }
    for (const shard of shards) loads.set(shard, (loads.get(shard) ?? 0) + 1)
    this.#transactions++
    if (new Set(shards).size > 1) this.#crossing++
  }

  /** The week's figures; then a new one begins. */
  close(shards: readonly string[]): Week {
    const total = new Map<string, number>()
    let imbalance = 0
    for (const loads of this.#intervals.values()) {
      const all = shards.map((shard) => loads.get(shard) ?? 0)
      const sum = all.reduce((a, b) => a + b, 0)
      imbalance += sum === 0 ? 1 : (Math.max(...all) * shards.length) / sum
      for (const [shard, load] of loads) total.set(shard, (total.get(shard) ?? 0) + load)
    }
    const sum = [...total.values()].reduce((a, b) => a + b, 0)
    const week = {
      imbalance: imbalance / Math.max(1, this.#intervals.size),
      crossing: this.#crossing / Math.max(1, this.#transactions),
      share: new Map(shards.map((shard) => [shard, (total.get(shard) ?? 0) / Math.max(1, sum)])),
    }
    this.#intervals.clear()
    this.#transactions = 0
    this.#crossing = 0
    return week
  }
}

/** Where the keys would be if nothing ever moved but what a joining shard takes. */
export class RingAlone {
  readonly #ring: HashRing
  readonly #shardOf = new Map<string, string>()

  constructor(shards: readonly string[]) {
    this.#ring = new HashRing(shards)
  }

  add(shard: string): void {
    this.#ring.add(shard)
    this.#shardOf.clear()
  }

  shardOf(key: string): string {
    let shard = this.#shardOf.get(key)
    if (shard === undefined) {
      shard = this.#ring.shardOf(key)
      this.#shardOf.set(key, shard)
    }
    return shard
  }
}
