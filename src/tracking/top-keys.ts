import { invalid } from '../errors'
import type { Decay } from './access-score'

export interface KeyUse {
  readonly key: string
  /** Never below the true score. */
  readonly accessScore: number
  /** The true score is at least `accessScore − overestimate`; 0: exact. */
  readonly overestimate: number
}

/**
 * The keys with the highest access scores, in bounded memory whatever the number of distinct keys: Space-Saving
 * (Metwally, Agrawal, El Abbadi 2005) over decayed weights (Cormode et al. 2009, section 4). With room for m keys, a
 * key whose score is above total/m is always among them, and no score is overestimated by more than total/m. While
 * there are at most m distinct keys every score is exact.
 */
export class TopKeys {
  readonly capacity: number
  readonly #decay: Decay
  readonly #slots = new Map<string, number>()
  readonly #keys: string[] = []
  /** Per slot, in the units of Decay. */
  readonly #scores: Float64Array
  readonly #overestimates: Float64Array
  /**
   * Slots as a binary heap, smallest first, ordered by `#settled`. Invariant: settled ≤ score, so that an access only
   * adds to its score and the heap is put right when its smallest is asked for.
   */
  readonly #heap: Int32Array
  readonly #settled: Float64Array
  #replaced = 0

  constructor(capacity: number, decay: Decay) {
    if (!Number.isInteger(capacity) || capacity < 1) throw invalid('capacity', 'must be a positive integer')
    this.capacity = capacity
    this.#decay = decay
    this.#scores = new Float64Array(capacity)
    this.#overestimates = new Float64Array(capacity)
    this.#heap = new Int32Array(capacity)
    this.#settled = new Float64Array(capacity)
    decay.onRescale((factor) => {
      for (const all of [this.#scores, this.#overestimates, this.#settled])
        for (let slot = 0; slot < all.length; slot++) all[slot]! *= factor
    })
  }

  /** Enters an access of `worth`, in the units of Decay. */
  record(key: string, worth: number): void {
    const slot = this.#slots.get(key)
    if (slot !== undefined) this.#scores[slot]! += worth
    else if (this.#keys.length < this.capacity) this.#add(key, worth)
    else this.#replaceSmallest(key, worth)
  }

  of(key: string, now: number): KeyUse | undefined {
    const slot = this.#slots.get(key)
    return slot === undefined ? undefined : this.#use(slot, now)
  }

  /** Highest score first; ties by key. */
  top(count: number, now: number): KeyUse[] {
    return this.#keys
      .map((_, slot) => this.#use(slot, now))
      .sort((a, b) => b.accessScore - a.accessScore || (a.key < b.key ? -1 : 1))
      .slice(0, count)
  }

  get size(): number {
    return this.#keys.length
  }

  /** How many keys had to make room for another. */
  get replaced(): number {
    return this.#replaced
  }

  get memoryBytes(): number {
    return this.capacity * 28 + this.#keys.length * 100
  }

  #add(key: string, worth: number): void {
    const slot = this.#keys.push(key) - 1
    this.#slots.set(key, slot)
    this.#scores[slot] = this.#settled[slot] = worth
    let at = slot
    for (let parent = (at - 1) >> 1; at > 0; parent = (at - 1) >> 1) {
      if (this.#settled[this.#heap[parent]!]! <= worth) break
      this.#heap[at] = this.#heap[parent]!
      at = parent
    }
    this.#heap[at] = slot
  }

  #replaceSmallest(key: string, worth: number): void {
    let slot = this.#heap[0]!
    // Whoever is at the top may have grown since: it sinks to its place until the top is true.
    while (this.#scores[slot]! > this.#settled[slot]!) {
      this.#sink(slot)
      slot = this.#heap[0]!
    }
    this.#slots.delete(this.#keys[slot]!)
    this.#slots.set(key, slot)
    this.#keys[slot] = key
    this.#overestimates[slot] = this.#scores[slot]!
    this.#scores[slot]! += worth
    this.#sink(slot)
    this.#replaced++
  }

  /** Settles the slot at the top of the heap and lets it sink. */
  #sink(slot: number): void {
    const heap = this.#heap
    const settled = this.#settled
    const score = this.#scores[slot]!
    const length = this.#keys.length
    settled[slot] = score
    let at = 0
    for (let child = 1; child < length; child = 2 * at + 1) {
      if (child + 1 < length && settled[heap[child + 1]!]! < settled[heap[child]!]!) child++
      if (settled[heap[child]!]! >= score) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = slot
  }

  #use(slot: number, now: number): KeyUse {
    return {
      key: this.#keys[slot]!,
      accessScore: this.#decay.scoreAt(this.#scores[slot]!, now),
      overestimate: this.#decay.scoreAt(this.#overestimates[slot]!, now),
    }
  }
}
