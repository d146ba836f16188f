import type { FenceRecord } from '../placement/fence'
import { bucketSegment, type SegmentId } from '../placement/segment'
import type { SegmentAt } from '../shard-store'
import { isAdmitted, type ShardSet } from './shard-set'
import type { TopologyFeed } from './topology-feed'
import type { View } from './view'

/** Finds out who owns a segment where refusals do not tell: from the topology, then from the fences themselves. */
export class OwnerSearch {
  readonly #view: View
  readonly #shards: ShardSet
  readonly #feed: TopologyFeed
  readonly #onError: (error: unknown) => void
  #searches = 0

  constructor(view: View, shards: ShardSet, feed: TopologyFeed, onError: (error: unknown) => void) {
    this.#view = view
    this.#shards = shards
    this.#feed = feed
    this.#onError = onError
  }

  /** How often all shards were asked. */
  get searches(): number {
    return this.#searches
  }

  /** Brings the view up to date as far as the topology knows; a topology that is out of reach changes nothing. */
  async refresh(): Promise<void> {
    await this.#feed.refresh().catch(this.#onError)
  }

  /**
   * Asks every shard for the fences of these segments and of their buckets. The view takes in what they say; shards
   * that do not answer are passed over. So the owner is found also while the topology lags behind.
   */
  async askShards(segments: readonly SegmentAt[]): Promise<void> {
    this.#searches++
    const wanted = new Map<SegmentId, SegmentAt>()
    for (const { segment, bucketId } of segments) {
      wanted.set(bucketSegment(bucketId), { segment: bucketSegment(bucketId), bucketId })
      wanted.set(segment, { segment, bucketId })
    }
    const asked = [...wanted.values()]
    await Promise.all(
      [...this.#shards].map(async ([index, shard]) => {
        // What a shard says that may have forgotten is not to be learned.
        if (!shard.store || !isAdmitted(shard)) return
        try {
          for (const { segment, record } of await shard.store.fences(asked))
            this.#view.learn(index, segment, record)
        } catch (error) {
          this.#onError(error)
        }
      }),
    )
  }

  /** The fences of these segments on one shard, by segment. Segments without one may be left out. */
  async fences(shard: number, segments: readonly SegmentAt[]): Promise<Map<SegmentId, FenceRecord>> {
    const listings = await this.#shards.serving(shard).fences(segments)
    for (const { segment, record } of listings) this.#view.learn(shard, segment, record)
    return new Map(listings.map(({ segment, record }) => [segment, record]))
  }
}
