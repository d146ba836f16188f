/** Counters of the sketch, a power of two; two are used per tag. */
const SKETCH = 8192
/** Longer tags are never carved out, so that a candidate's name has bounded size. */
const LONGEST_TAG = 512
/** A newcomer must exceed the coldest candidate by a tenth, or the two would take turns. */
const MARGIN = 1.1

export interface HotTag {
  readonly tag: string
  readonly hash: number
  /** Its row in the series. */
  readonly slot: number
  /** First interval that its row covers from the start. */
  since: number
  /** Decayed load. */
  load: number
  /** A segment of its own already: stays, however cold. */
  pinned: boolean
}

/**
 * The hottest tags, in bounded memory: candidates for being carved out of their buckets. A count-min sketch (Cormode and
 * Muthukrishnan 2005) lets only tags that may be hot ask for a place; the coldest candidate makes room, as in
 * Space-Saving (Metwally et al. 2005). Loads decay, so that yesterday's heat makes room too.
 */
export class HotTags {
  readonly capacity: number
  readonly #newSlot: () => number
  readonly #clear: (slot: number) => void
  readonly sketch = new Float32Array(SKETCH)
  readonly #tags: HotTag[] = []
  /** Open addressing by hash into #tags, -1 is empty. */
  #index = new Int32Array(64).fill(-1)
  #mask = 63
  /** A tag whose estimate is no higher is not worth a look. */
  threshold = 0

  constructor(capacity: number, newSlot: () => number, clear: (slot: number) => void) {
    this.capacity = capacity
    this.#newSlot = newSlot
    this.#clear = clear
  }

  get tags(): readonly HotTag[] {
    return this.#tags
  }

  /** Counts an access; the tag's place, or undefined if it has none. `interval`: the newest one. */
  observe(tag: string, hash: number, load: number, interval: number): HotTag | undefined {
    for (let at = hash & this.#mask; ; at = (at + 1) & this.#mask) {
      const i = this.#index[at]!
      if (i < 0) break
      const found = this.#tags[i]!
      if (found.hash === hash && found.tag === tag) {
        found.load += load
        return found
      }
    }
    if (this.capacity === 0) return undefined
    const sketch = this.sketch
    const a = hash & (SKETCH - 1)
    const b = (hash >>> 13) & (SKETCH - 1)
    const estimate = Math.min(sketch[a]!, sketch[b]!) + load
    // Conservative update: raise a counter no further than the estimate.
    if (sketch[a]! < estimate) sketch[a] = estimate
    if (sketch[b]! < estimate) sketch[b] = estimate
    if (estimate <= this.threshold || tag.length > LONGEST_TAG) return undefined
    // A tag that the sketch has never met is covered from its first access.
    return this.#admit(tag, hash, estimate, estimate === load ? 0 : interval + 1)
  }

  find(tag: string): HotTag | undefined {
    return this.#tags.find((hot) => hot.tag === tag)
  }

  /** These tags are segments of their own, and no others: they keep their places, or get one where there is room. */
  pin(carved: ReadonlyMap<string, number>, interval: number): void {
    for (const hot of this.#tags) hot.pinned = carved.has(hot.tag)
    for (const [tag, hash] of carved) {
      const hot = this.find(tag) ?? this.#admit(tag, hash, 0, interval + 1)
      if (hot) hot.pinned = true
    }
    this.#lower()
  }

  decay(factor: number): void {
    for (let i = 0; i < SKETCH; i++) this.sketch[i]! *= factor
    for (const hot of this.#tags) hot.load *= factor
    this.threshold *= factor
  }

  /** Takes over checked tags, in their order. */
  adopt(tags: readonly HotTag[], sketch: Float32Array, threshold: number): void {
    this.sketch.set(sketch)
    this.#tags.length = 0
    for (const hot of tags) this.#tags.push({ ...hot })
    this.#reindex()
    this.threshold = threshold
  }

  #admit(tag: string, hash: number, load: number, since: number): HotTag | undefined {
    let place = this.#tags.length
    let slot: number
    if (place < this.capacity) slot = this.#newSlot()
    else {
      place = this.#coldest()
      const coldest = this.#tags[place]
      if (!coldest || load <= coldest.load * MARGIN) {
        if (coldest) this.threshold = coldest.load * MARGIN
        return undefined
      }
      slot = coldest.slot
      this.#clear(slot)
    }
    const hot: HotTag = { tag, hash, slot, since, load, pinned: false }
    this.#tags[place] = hot
    this.#reindex()
    this.#lower()
    return hot
  }

  #coldest(): number {
    let at = -1
    for (let i = 0; i < this.#tags.length; i++)
      if (!this.#tags[i]!.pinned && (at < 0 || this.#tags[i]!.load < this.#tags[at]!.load)) at = i
    return at
  }

  #lower(): void {
    const full = this.#tags.length >= this.capacity
    const at = full ? this.#coldest() : -1
    this.threshold = !full ? 0 : at < 0 ? Number.POSITIVE_INFINITY : this.#tags[at]!.load * MARGIN
  }

  #reindex(): void {
    let size = 64
    while (size < this.#tags.length * 4) size *= 2
    if (size !== this.#index.length) this.#index = new Int32Array(size)
    this.#index.fill(-1)
    this.#mask = size - 1
    this.#tags.forEach((hot, i) => {
      let at = hot.hash & this.#mask
      while (this.#index[at]! >= 0) at = (at + 1) & this.#mask
      this.#index[at] = i
    })
  }
}
