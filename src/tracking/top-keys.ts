import { invalid } from '../errors'
import type { Decay } from './access-score'

export interface KeyUse {
  readonly key: string
  /** Never below the true score. */
  readonly accessScore: number
  /** The true score is at least `accessScore − overestimate`; 0: exact. */
  readonly overestimate: number
}

/** Cells of the filter for each key that is kept. */
const CELLS_PER_KEY = 8

/**
 * The keys with the highest access scores, in bounded memory whatever the number of distinct keys: Space-Saving
 * (Metwally, Agrawal, El Abbadi 2005) over decayed weights (Cormode et al. 2009, section 4). With room for m keys, a
 * key whose score is above total/m is always among them, and no score is overestimated by more than total/m. While
 * there are at most m distinct keys every score is exact.
 *
 * A filter stands before it (Homem, Carvalho 2010): keys that are not kept share cells, and a key takes another's place
 * only when its cell has as much as the smallest that is kept. So most accesses to cold keys cost one addition, and the
 * estimates are tighter.
 */
export class TopKeys {
  readonly capacity: number
  readonly #decay: Decay
  readonly #slots = new Map<string, number>()
  readonly #keys: string[] = []
  /** Per slot, in the units of Decay. */
  readonly #scores: Float64Array
  readonly #overestimates: Float64Array
  readonly #cellOf: Int32Array
  /** Invariant: no key that is not kept has a score above its cell's, and no cell is above the smallest score kept. */
  readonly #cells: Float64Array
  readonly #shift: number
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
    this.#cellOf = new Int32Array(capacity)
    const bits = Math.ceil(Math.log2(capacity * CELLS_PER_KEY))
    this.#cells = new Float64Array(2 ** bits)
    this.#shift = 32 - bits
    this.#heap = new Int32Array(capacity)
    this.#settled = new Float64Array(capacity)
    decay.onRescale((factor) => {
      for (const all of [this.#scores, this.#overestimates, this.#settled, this.#cells])
        for (let i = 0; i < all.length; i++) all[i]! *= factor
    })
  }

  /** Enters an access of `worth`, in the units of Decay. `salt`: any number that is always the same for the key. */
  record(key: string, worth: number, salt = 0): void {
    const slot = this.#slots.get(key)
    if (slot !== undefined) this.#scores[slot]! += worth
    else if (this.#keys.length < this.capacity) this.#add(key, worth, this.#cell(key, salt))
    else this.#filter(key, worth, this.#cell(key, salt))
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
    return this.capacity * 32 + this.#cells.byteLength + this.#keys.length * 100
  }

  /** Cheap, and good enough where the salt spreads keys that end alike. */
  #cell(key: string, salt: number): number {
    const last = key.length - 1
    const end = key.charCodeAt(last) + 31 * key.charCodeAt(last - 1) + 961 * key.charCodeAt(last - 2)
    return Math.imul((salt ^ Math.imul(end | 0, 0x85ebca6b)) + last, 0x9e3779b1) >>> this.#shift
  }

  #add(key: string, worth: number, cell: number): void {
    const slot = this.#keys.push(key) - 1
    this.#slots.set(key, slot)
    this.#cellOf[slot] = cell
    this.#scores[slot] = worth
    this.#settled[slot] = worth
    let at = slot
    for (let parent = (at - 1) >> 1; at > 0; parent = (at - 1) >> 1) {
      if (this.#settled[this.#heap[parent]!]! <= worth) break
      this.#heap[at] = this.#heap[parent]!
      at = parent
    }
    this.#heap[at] = slot
  }

  #filter(key: string, worth: number, cell: number): void {
    const score = this.#cells[cell]! + worth
    // What is settled is a lower bound: most of the time it suffices.
    if (score <= this.#settled[this.#heap[0]!]! || score <= this.#scores[this.#smallest()]!) {
      this.#cells[cell] = score
      return
    }
    const slot = this.#heap[0]!
    this.#slots.delete(this.#keys[slot]!)
    this.#slots.set(key, slot)
    this.#keys[slot] = key
    this.#cells[this.#cellOf[slot]!] = this.#scores[slot]!
    this.#cellOf[slot] = cell
    this.#overestimates[slot] = score - worth
    this.#scores[slot] = score
    this.#sink(slot)
    this.#replaced++
  }

  /** The slot with the smallest score. Whoever is at the top may have grown: it sinks to its place until the top is true. */
  #smallest(): number {
    let slot = this.#heap[0]!
    while (this.#scores[slot]! > this.#settled[slot]!) {
      this.#sink(slot)
      slot = this.#heap[0]!
    }
    return slot
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
