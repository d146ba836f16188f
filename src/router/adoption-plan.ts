import { HashRing } from '../placement/ring'
import type { ShardId } from '../placement/segment'

/** What lies where, and where it is to be: each bucket on the shard that has most of it, each other tag where most of it is. */
export interface AdoptionPlan {
  /** Keys that were found, by shard. */
  readonly keys: Readonly<Record<ShardId, number>>
  readonly tags: number
  /** Tags that lie on another shard than most of their bucket: they are carved out of it and stay where they are. */
  readonly carved: number
  /** Keys that lie apart from the rest of their tag. Only these are copied. */
  readonly copied: number
  /** Keys that are no UTF-8, reserved or too long: they stay as they are, and are not Foreshard's. */
  readonly left: number
}

/** Counts what lies on the shards, in some 100 bytes a tag. */
export class AdoptionCensus {
  readonly #shards: readonly ShardId[]
  readonly #bucketOf: (tag: string) => number
  readonly #inBuckets: Uint32Array
  readonly #buckets: number
  /** Of a tag on one shard the number of its keys times the number of shards, plus its shard; else its keys on each. */
  readonly #tags = new Map<string, number | Uint32Array>()
  readonly #keys: number[]
  left = 0

  constructor(shards: readonly ShardId[], buckets: number, bucketOf: (tag: string) => number) {
    this.#shards = shards
    this.#buckets = buckets
    this.#bucketOf = bucketOf
    this.#inBuckets = new Uint32Array(buckets * shards.length)
    this.#keys = shards.map(() => 0)
  }

  add(shard: number, tag: string): void {
    this.#keys[shard]!++
    this.#inBuckets[this.#bucketOf(tag) * this.#shards.length + shard]!++
    const n = this.#shards.length
    const seen = this.#tags.get(tag)
    if (seen === undefined) this.#tags.set(tag, n + shard)
    else if (typeof seen !== 'number') seen[shard]!++
    else if (seen % n === shard) this.#tags.set(tag, seen + n)
    else {
      const counts = new Uint32Array(n)
      counts[seen % n] = Math.floor(seen / n)
      counts[shard]!++
      this.#tags.set(tag, counts)
    }
  }

  /** bucket -> index of its shard. One without keys goes where the ring would have it. */
  owners(): Int32Array {
    const ring = new HashRing(
      this.#shards.map((id) => ({ id })),
      { buckets: this.#buckets },
    )
    const places = ring.shards.map(({ id }) => this.#shards.indexOf(id))
    const n = this.#shards.length
    return Int32Array.from(ring.assignment(), (index, bucket) => {
      const counts = this.#inBuckets.subarray(bucket * n, bucket * n + n)
      const most = largest(counts)
      return counts[most] === 0 ? places[index]! : most
    })
  }

  /** Every tag, and the shard that has most of it. */
  *places(): Iterable<[tag: string, shard: ShardId]> {
    for (const [tag, seen] of this.#tags) {
      const shard = typeof seen === 'number' ? seen % this.#shards.length : largest(seen)
      yield [tag, this.#shards[shard]!]
    }
  }

  plan(owners: Int32Array): AdoptionPlan {
    let carved = 0
    for (const [tag, shard] of this.places())
      if (this.#shards[owners[this.#bucketOf(tag)]!] !== shard) carved++
    let copied = 0
    for (const seen of this.#tags.values())
      if (typeof seen !== 'number') copied += seen.reduce((sum, it) => sum + it, 0) - seen[largest(seen)]!
    return {
      keys: Object.fromEntries(this.#shards.map((id, i) => [id, this.#keys[i]!])),
      tags: this.#tags.size,
      carved,
      copied,
      left: this.left,
    }
  }
}

function largest(counts: Uint32Array): number {
  let most = 0
  for (let i = 1; i < counts.length; i++) if (counts[i]! > counts[most]!) most = i
  return most
}
