import type { ShardMetrics } from '../../router/metrics'

export interface Sample {
  readonly at: number
  /** Load of each shard a second since the sample before; empty in the first. */
  readonly loads: ReadonlyMap<string, number>
  readonly refused: number
}

/** Turns counters that only grow into rates, and keeps the imbalance of the last samples. */
export class LoadSampler {
  readonly #kept: number
  readonly #recent: { at: number; imbalance: number }[] = []
  #before: { at: number; loads: Map<string, number>; refused: number } | undefined
  #last: Sample = { at: 0, loads: new Map(), refused: 0 }

  constructor(kept: number) {
    this.#kept = kept
  }

  get last(): Sample {
    return this.#last
  }

  get recent(): readonly { readonly at: number; readonly imbalance: number }[] {
    return this.#recent
  }

  take(at: number, shards: readonly ShardMetrics[]): void {
    const loads = new Map(shards.map(({ shard, load }) => [shard, load]))
    const refused = shards.reduce((sum, shard) => sum + shard.refused, 0)
    const before = this.#before
    this.#before = { at, loads, refused }
    const seconds = before ? (at - before.at) / 1000 : 0
    if (!before || seconds <= 0) return
    const rates = new Map(
      [...loads].map(([shard, load]) => [
        shard,
        Math.max(0, load - (before.loads.get(shard) ?? 0)) / seconds,
      ]),
    )
    this.#last = { at, loads: rates, refused: Math.max(0, refused - before.refused) / seconds }
    const imbalance = imbalanceOf([...rates.values()])
    if (imbalance === undefined) return
    this.#recent.push({ at, imbalance })
    if (this.#recent.length > this.#kept) this.#recent.shift()
  }
}

/** Maximum / mean; undefined where there is no load. */
export function imbalanceOf(loads: readonly number[]): number | undefined {
  const total = loads.reduce((sum, load) => sum + load, 0)
  return total > 0 ? (Math.max(...loads) * loads.length) / total : undefined
}
