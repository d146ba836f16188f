import type { Decay } from './access-score'

/** How a segment was used since this process first saw it. */
export interface SegmentUse {
  readonly reads: number
  readonly writes: number
  /** Bytes of the values read and written. */
  readonly bytes: number
  readonly accessScore: number
}

const READS = 0
const WRITES = 1
const BYTES = 2
const SCORE = 3
const FIELDS = 4

/** Exact counters of every segment: the buckets' in one typed array, those of carved tags in a map. */
export class SegmentCounters {
  readonly #decay: Decay
  /** FIELDS numbers a bucket, so that an access touches one cache line. */
  readonly #buckets: Float64Array
  readonly #tags = new Map<string, Float64Array>()

  constructor(buckets: number, decay: Decay) {
    this.#decay = decay
    this.#buckets = new Float64Array(buckets * FIELDS)
    decay.onRescale((factor) => {
      for (let i = SCORE; i < this.#buckets.length; i += FIELDS) this.#buckets[i]! *= factor
      for (const counters of this.#tags.values()) counters[SCORE]! *= factor
    })
  }

  /** Enters an access of `worth` and returns the segment's score in the units of Decay. `tag`: of a carved one. */
  record(bucketId: number, tag: string | undefined, write: boolean, bytes: number, worth: number): number {
    let counters = this.#buckets
    let at = bucketId * FIELDS
    if (tag !== undefined) {
      counters = this.#ofTag(tag)
      at = 0
    }
    counters[at + (write ? WRITES : READS)]! += 1
    counters[at + BYTES]! += bytes
    counters[at + SCORE]! += worth
    return counters[at + SCORE]!
  }

  ofBucket(bucketId: number, now: number): SegmentUse {
    return this.#use(this.#buckets, bucketId * FIELDS, now)
  }

  ofTag(tag: string, now: number): SegmentUse {
    return this.#use(this.#tags.get(tag) ?? new Float64Array(FIELDS), 0, now)
  }

  /** Buckets with an accessScore above `above`, and what it is. */
  *scores(now: number, above = 0): IterableIterator<[bucketId: number, accessScore: number]> {
    for (let bucketId = 0, i = SCORE; i < this.#buckets.length; bucketId++, i += FIELDS) {
      const score = this.#decay.scoreAt(this.#buckets[i]!, now)
      if (score > above) yield [bucketId, score]
    }
  }

  /** The tag is no segment any more: what was counted for it belongs to its bucket. */
  fold(tag: string, bucketId: number): void {
    const counters = this.#tags.get(tag)
    if (!counters) return
    this.#tags.delete(tag)
    for (let i = 0; i < FIELDS; i++) this.#buckets[bucketId * FIELDS + i]! += counters[i]!
  }

  get memoryBytes(): number {
    return this.#buckets.byteLength + this.#tags.size * (FIELDS * 8 + 100)
  }

  #ofTag(tag: string): Float64Array {
    let counters = this.#tags.get(tag)
    if (!counters) {
      counters = new Float64Array(FIELDS)
      this.#tags.set(tag, counters)
    }
    return counters
  }

  #use(counters: Float64Array, at: number, now: number): SegmentUse {
    return {
      reads: counters[at + READS]!,
      writes: counters[at + WRITES]!,
      bytes: counters[at + BYTES]!,
      accessScore: this.#decay.scoreAt(counters[at + SCORE]!, now),
    }
  }
}
