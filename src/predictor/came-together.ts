import { type CoAccess, CoAccessGraph } from './co-access'
import type { Sampled } from './transactions'

/** The co-access graph of what was accessed together in the intervals from … until − 1, nothing decayed: what a plan is held against. */
export function cameTogether(
  sample: Iterable<Sampled>,
  itemOf: (tagHash: number) => number | undefined,
  shardOf: Int32Array,
  shards: number,
  from: number,
  until: number,
): CoAccessGraph {
  const together: CoAccess[] = []
  let total = 0
  for (const { tags, weight, interval } of sample) {
    if (interval < from || interval >= until) continue
    total += weight
    const items = new Set<number>()
    for (const hash of tags) {
      const item = itemOf(hash)
      if (item !== undefined) items.add(item)
    }
    if (items.size > 1) together.push({ items: Int32Array.from(items), weight })
  }
  return new CoAccessGraph(together, total, shardOf, shards)
}

/** Tag hash -> item: the tag's own, or that of its bucket. */
export function itemsByHash(
  { segments, parent, bucketOf }: { segments: readonly string[]; parent: Int32Array; bucketOf: Int32Array },
  buckets: number,
  hashOf: (tag: string) => number,
): (hash: number) => number | undefined {
  const ofBucket = new Map<number, number>()
  const ofTag = new Map<number, number>()
  segments.forEach((segment, item) => {
    if (parent[item]! < 0 && !segment.startsWith('{')) ofBucket.set(bucketOf[item]!, item)
    else ofTag.set(hashOf(segment.slice(1, -1)), item)
  })
  return (hash) => ofTag.get(hash) ?? ofBucket.get(hash % buckets)
}
