import { type CoAccess, CoAccessGraph } from './co-access'
import type { Pace } from './pace'
import type { Transactions } from './transactions'
import type { Workload } from './workload'

/** Half-life of a tie, in intervals. */
const HALF_LIFE = 336

export interface Ties {
  readonly graph: CoAccessGraph
  /** Share of a tie that is expected to recur, 0..1: what is drawn from past ties is to be discounted by it. */
  readonly recurrence: number
  /** Weight of the newest transactions by interval is known for so many of them. */
  readonly sampled: number
}

/** The co-access graph over the items of a workload, from the sampled transactions before interval `now`. */
export async function readTies(
  transactions: Transactions,
  workload: Workload,
  buckets: number,
  hashOf: (tag: string) => number,
  shardOf: Int32Array,
  shards: number,
  now: number,
  pace: Pace,
): Promise<Ties> {
  const itemOfBucket = new Map<number, number>()
  const itemOfTag = new Map<number, number>()
  workload.segments.forEach((segment, item) => {
    if (workload.parent[item]! < 0 && !segment.startsWith('{'))
      itemOfBucket.set(workload.bucketOf[item]!, item)
    else itemOfTag.set(hashOf(segment.slice(1, -1)), item)
  })
  const known: CoAccess[] = []
  const intervals: number[] = []
  let total = 0
  let sampled = 0
  for (const { tags, weight, interval } of transactions.sample()) {
    if (interval >= now) continue
    const decayed = weight * 2 ** ((interval - now) / HALF_LIFE)
    total += decayed
    if (sampled++ % 512 === 0) await pace.rest()
    const items = new Set<number>()
    for (const hash of tags) {
      const item = itemOfTag.get(hash) ?? itemOfBucket.get(hash % buckets)
      if (item !== undefined) items.add(item)
    }
    if (items.size < 2) continue
    known.push({ items: Int32Array.from(items), weight: decayed })
    intervals.push(interval)
  }
  await pace.rest()
  const recurrence = recurrenceOf(known, intervals, shardOf, shards)
  await pace.rest()
  return { graph: new CoAccessGraph(known, total, shardOf, shards), recurrence, sampled }
}

/**
 * How much of what ties an item to a shard in the older half of the sample is there in the newer half: the slope of the
 * regression of the newer affinities on the older ones, each as a share of the item's transactions. 1 for a pattern that stays, 0 for
 * chance acquaintances.
 */
function recurrenceOf(
  transactions: readonly CoAccess[],
  intervals: readonly number[],
  shardOf: Int32Array,
  shards: number,
): number {
  if (transactions.length < 16) return 0.5
  const order = transactions.map((_, k) => k).sort((a, b) => intervals[a]! - intervals[b]! || a - b)
  const middle = order.length >> 1
  const halves = [order.slice(0, middle), order.slice(middle)].map((half) => {
    const tied = new Map<number, Float64Array>()
    for (const k of half) {
      const { items, weight } = transactions[k]!
      for (const item of items) {
        const row = tied.get(item) ?? new Float64Array(shards)
        tied.set(item, row)
        for (const other of items) if (other !== item) row[shardOf[other]!]! += weight / (items.length - 1)
      }
    }
    return tied
  })
  const mean = new Float64Array(shards)
  let all = 0
  for (const row of halves[0]!.values())
    row.forEach((weight, shard) => {
      mean[shard]! += weight
      all += weight
    })
  let both = 0
  let squares = 0
  for (const [item, older] of halves[0]!) {
    const newer = halves[1]!.get(item)
    if (!newer) continue
    const a = older.reduce((sum, weight) => sum + weight, 0)
    const b = newer.reduce((sum, weight) => sum + weight, 0)
    if (a === 0 || b === 0) continue
    for (let shard = 0; shard < shards; shard++) {
      const expected = mean[shard]! / all
      const x = older[shard]! / a - expected
      // Items with many transactions say more.
      both += Math.min(a, b) * x * (newer[shard]! / b - expected)
      squares += Math.min(a, b) * x * x
    }
  }
  const slope = squares > 0 ? Math.max(0, Math.min(1, both / squares)) : 0
  // That is what half a sample is worth; the whole is worth more (Spearman-Brown).
  return (2 * slope) / (1 + slope)
}
