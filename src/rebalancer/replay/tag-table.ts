import type { Placement } from '../../placement/assignment'

/**
 * The tags of a replay as small numbers, so that an interval is two flat arrays and a shard lookup one array read.
 * Numbers of tags that have not been seen for a while are given out again (`forget`), so that a log of endless
 * distinct keys is held in the memory of those that its last intervals named.
 */
export class TagTable {
  readonly #placement: Placement
  readonly #ids = new Map<string, number>()
  readonly #free: number[] = []
  /** id -> tag; undefined where the number is free. */
  readonly #names: (string | undefined)[] = []
  readonly #buckets: number[] = []
  /** id -> the interval that named it last. */
  readonly #lastSeen: number[] = []
  readonly #inBucket = new Map<number, Set<number>>()

  /** Of the placement only what never changes is used: the tag rule, the bucket count, the seed. */
  constructor(placement: Placement) {
    this.#placement = placement
  }

  get size(): number {
    return this.#ids.size
  }

  /** One more than the highest number given out. */
  get capacity(): number {
    return this.#names.length
  }

  /** The number of the key's tag, seen in interval `at`. */
  seen(key: string, at: number): number {
    const tag = this.#placement.tagOf(key)
    let id = this.#ids.get(tag)
    if (id === undefined) {
      id = this.#free.pop() ?? this.#names.length
      const bucketId = this.#placement.bucketOfTag(tag)
      this.#ids.set(tag, id)
      this.#names[id] = tag
      this.#buckets[id] = bucketId
      const bucket = this.#inBucket.get(bucketId)
      if (bucket) bucket.add(id)
      else this.#inBucket.set(bucketId, new Set([id]))
      this.#lastSeen[id] = at
    } else if (at > this.#lastSeen[id]!) this.#lastSeen[id] = at
    return id
  }

  find(tag: string): number | undefined {
    return this.#ids.get(tag)
  }

  nameOf(id: number): string {
    return this.#names[id]!
  }

  bucketOf(id: number): number {
    return this.#buckets[id]!
  }

  /** The tags of a bucket, carved ones too. */
  inBucket(bucketId: number): Iterable<number> {
    return this.#inBucket.get(bucketId) ?? []
  }

  /** Frees the numbers of tags last seen before interval `before`, and returns them. */
  forget(before: number): number[] {
    const gone: number[] = []
    for (const [tag, id] of this.#ids) {
      if (this.#lastSeen[id]! >= before) continue
      this.#ids.delete(tag)
      this.#names[id] = undefined
      const bucket = this.#inBucket.get(this.#buckets[id]!)!
      bucket.delete(id)
      if (bucket.size === 0) this.#inBucket.delete(this.#buckets[id]!)
      gone.push(id)
    }
    this.#free.push(...gone)
    return gone
  }
}
