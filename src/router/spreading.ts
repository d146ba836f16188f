import { mix, murmur3 } from '../placement/hash'
import { HashRing, type ShardWeight, takeFrom } from '../placement/ring'
import type { SegmentId, ShardId } from '../placement/segment'

/**
 * The buckets that a shard takes when it joins: its share, from those that have more than theirs, and none moves between
 * the others. Where a founding ring would have given it a bucket it takes that one, so that a deployment whose buckets
 * were never moved looks as if it had been founded with the shard; the rest are chosen evenly by hash.
 *
 * @param owners bucket → its shard; buckets of shards that are not among `others` are left where they are.
 */
export function bucketsToTake(
  owners: readonly ShardId[],
  others: readonly Required<ShardWeight>[],
  joining: Required<ShardWeight>,
): number[] {
  const shards = [...others, joining].map(({ id, weight }) => ({ id, weight }))
  const index = new Map(shards.map(({ id }, i) => [id, i]))
  const owner = Int32Array.from(owners, (id) => index.get(id) ?? -1)
  const surplus = takeFrom(owner, shards, shards.length - 1)
  let wanted = surplus.reduce((sum, count) => sum + count, 0)
  const ring = new HashRing(shards.slice(0, -1), { buckets: owners.length })
  const preferred = ring.add(joining.id, joining.weight)
  const base = murmur3(joining.id)
  const rest = Array.from(owners, (_, bucketId) => bucketId).sort((a, b) => mix(base, a) - mix(base, b))
  const taken = new Set<number>()
  for (const bucketId of [...preferred, ...rest]) {
    if (wanted === 0) break
    const from = owner[bucketId]!
    if (from < 0 || taken.has(bucketId) || !surplus[from]) continue
    surplus[from]--
    wanted--
    taken.add(bucketId)
  }
  return [...taken].sort((a, b) => a - b)
}

/**
 * Where the segments of a shard go when it is drained: one after the other to whoever then has fewest for its weight.
 *
 * @param held segments that each of the others has now.
 */
export function spread(
  segments: Iterable<SegmentId>,
  others: readonly Required<ShardWeight>[],
  held: ReadonlyMap<ShardId, number>,
): Map<SegmentId, ShardId> {
  const load = others.map(({ id }) => held.get(id) ?? 0)
  const targets = new Map<SegmentId, ShardId>()
  for (const segment of segments) {
    let least = 0
    for (let i = 1; i < others.length; i++)
      if ((load[i]! + 1) / others[i]!.weight < (load[least]! + 1) / others[least]!.weight) least = i
    load[least]!++
    targets.set(segment, others[least]!.id)
  }
  return targets
}
