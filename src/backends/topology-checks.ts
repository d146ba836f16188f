import { invalid } from '../errors'
import { unknownShard } from '../placement/assignment'
import { checkSegment, isTagSegment, type ShardId } from '../placement/segment'
import type { Founding, TopologyChange } from '../topology-store'

/** What every topology store refuses before anything is changed, because every reader relies on it. */

export function checkFounding({ buckets, shards, owners }: Founding): void {
  if (owners.length !== buckets)
    throw invalid('founding.owners', `must name an owner for each of ${buckets} buckets`)
  for (const owner of owners)
    if (!shards[owner]) throw invalid('founding.owners', `names shard ${owner} of ${shards.length}`)
}

/** `shards`: those that may be named, where they are at hand; where they are not a server says so. */
export function checkChange(
  { assignments = [] }: Pick<TopologyChange, 'assignments'>,
  buckets: number,
  shards?: readonly { readonly id: ShardId }[],
): void {
  const known = shards && new Set(shards.map(({ id }) => id))
  for (const [i, { segment, shard, epoch }] of assignments.entries()) {
    const field = `change.assignments[${i}]`
    checkSegment(segment, buckets, `${field}.segment`)
    if (!Number.isSafeInteger(epoch) || epoch < 1)
      throw invalid(`${field}.epoch`, 'must be a whole number from 1')
    if (shard === undefined) {
      if (!isTagSegment(segment)) throw invalid(`${field}.shard`, 'is missing; only a tag can be merged away')
    } else if (shard === '') throw invalid(`${field}.shard`, 'is empty; a shard has a name')
    else if (known && !known.has(shard)) throw unknownShard(`${field}.shard`, shard)
  }
}
