import { checkScore, Decay, type ScoreOptions } from './access-score'
import { SegmentCounters, type SegmentUse } from './segment-counters'
import { type KeyUse, TopKeys } from './top-keys'

export interface TrackerOptions extends ScoreOptions {
  /** Keys whose score is kept; the hottest ones. Default 1000. */
  keys?: number
}

export const DEFAULT_TRACKED_KEYS = 1000

/** Everything that is known of how this process uses segments and keys. Fixed memory, no timers, no I/O. */
export class Tracker {
  readonly writeWeight: number
  readonly #decay: Decay
  readonly #segments: SegmentCounters
  readonly #keys: TopKeys

  constructor(buckets: number, options: TrackerOptions = {}) {
    const { halfLifeMs, writeWeight } = checkScore(options, 'options.tracking')
    this.writeWeight = writeWeight
    this.#decay = new Decay(halfLifeMs)
    this.#segments = new SegmentCounters(buckets, this.#decay)
    this.#keys = new TopKeys(options.keys ?? DEFAULT_TRACKED_KEYS, this.#decay)
  }

  /** Enters one access; returns the segment's access score. `tag`: of a carved one, else undefined. */
  record(
    now: number,
    key: string,
    bucketId: number,
    tag: string | undefined,
    write: boolean,
    bytes: number,
  ): number {
    const unit = this.#decay.worth(now)
    const worth = write ? unit * this.writeWeight : unit
    this.#keys.record(key, worth, bucketId)
    return this.#segments.record(bucketId, tag, write, bytes, worth) / unit
  }

  ofBucket(bucketId: number, now: number): SegmentUse {
    return this.#segments.ofBucket(bucketId, now)
  }

  ofTag(tag: string, now: number): SegmentUse {
    return this.#segments.ofTag(tag, now)
  }

  ofKey(key: string, now: number): KeyUse | undefined {
    return this.#keys.of(key, now)
  }

  topKeys(count: number, now: number): KeyUse[] {
    return this.#keys.top(count, now)
  }

  bucketScores(now: number): IterableIterator<[bucketId: number, accessScore: number]> {
    return this.#segments.scores(now)
  }

  fold(tag: string, bucketId: number): void {
    this.#segments.fold(tag, bucketId)
  }

  get memory(): { bytes: number; keys: number; capacity: number; replaced: number } {
    const { size, capacity, replaced, memoryBytes } = this.#keys
    return { bytes: this.#segments.memoryBytes + memoryBytes, keys: size, capacity, replaced }
  }
}
