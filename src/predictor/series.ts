/** What became of an access at a given time. */
export type Counted = 'counted' | 'too old' | 'in the future'

/** A leap past the whole ring is believed once so many entries agree on it: one bad timestamp wipes nothing. */
const LEAP_WITNESSES = 3

export interface SeriesState {
  newest: number
  oldest: number
  slots: number
  /** Per kept interval, oldest first: the loads of the slots; empty where the interval saw none. */
  rows: Float32Array[]
}

/**
 * Loads per slot and interval, in a ring of the last `history` intervals. A slot is a row number that the caller has
 * given to a bucket or a tag; memory is slots × intervals × 4 bytes at most, and an interval without accesses costs
 * nothing. Late entries are counted where they belong as long as the ring reaches back to them.
 */
export class Series {
  readonly intervalMs: number
  readonly history: number
  /** Called with the number of intervals by which the ring has moved on. */
  onAdvance: (intervals: number) => void = () => {}
  /** interval % history -> loads by slot. Replaced, never cleared: a reader may hold on to one. */
  readonly #rows: (Float32Array | undefined)[]
  #newest = -1
  /** First interval that ever saw an access: before it nothing is known, after it silence is a zero. */
  #oldest = -1
  #slots = 0
  /** The row that the last access went to, and its time span: the next one usually goes there too. */
  #row: Float32Array = new Float32Array(0)
  #rowStart = 0
  #rowEnd = 0
  #leapTo = -1
  #leapWitnesses = 0

  constructor(intervalMs: number, history: number) {
    this.intervalMs = intervalMs
    this.history = history
    this.#rows = new Array(history)
  }

  /** Number of the newest interval (its start is so many times intervalMs), -1 before the first access. */
  get newest(): number {
    return this.#newest
  }

  /** The first interval that is known and still kept, -1 before the first access. */
  get oldest(): number {
    return this.#newest < 0 ? -1 : Math.max(this.#oldest, this.#newest - this.history + 1)
  }

  get slots(): number {
    return this.#slots
  }

  newSlot(): number {
    return this.#slots++
  }

  /** The interval that a time lies in. */
  intervalOf(timestamp: number): number {
    return Math.floor(timestamp / this.intervalMs)
  }

  /** Makes the interval of `timestamp` the one that `add` counts into. `latest`: no access can be newer. */
  seek(timestamp: number, latest: () => number): Counted {
    if (timestamp >= this.#rowStart && timestamp < this.#rowEnd) return 'counted'
    const interval = this.intervalOf(timestamp)
    if (interval > this.#newest) {
      if (timestamp > latest()) return 'in the future'
      if (this.#newest >= 0 && interval >= this.#newest + this.history && !this.#believed(interval))
        return 'in the future'
      this.#advance(interval)
    } else if (interval <= this.#newest - this.history) return 'too old'
    if (interval < this.#oldest) this.#oldest = interval
    const at = interval % this.history
    this.#rows[at] ??= new Float32Array(this.#slots)
    this.#row = this.#rows[at]
    this.#rowStart = interval * this.intervalMs
    this.#rowEnd = this.#rowStart + this.intervalMs
    return 'counted'
  }

  /** Counts `load` for a slot in the interval last sought. */
  add(slot: number, load: number): void {
    if (slot >= this.#row.length) this.#widen()
    this.#row[slot]! += load
  }

  /** Forgets what a slot was: it is about to be given to another tag. */
  clear(slot: number): void {
    for (const row of this.#rows) if (row && slot < row.length) row[slot] = 0
  }

  /**
   * The rows of intervals from … to − 1, undefined where an interval saw nothing. What they hold may still grow, but
   * the rows stay what they are when the ring moves on.
   */
  rows(from: number, to: number): (Float32Array | undefined)[] {
    return Array.from({ length: Math.max(0, to - from) }, (_, i) => {
      const interval = from + i
      return interval < 0 || interval > this.#newest || interval <= this.#newest - this.history
        ? undefined
        : this.#rows[interval % this.history]
    })
  }

  state(): SeriesState {
    const rows = this.#newest < 0 ? [] : this.rows(this.oldest, this.#newest + 1)
    return {
      newest: this.#newest,
      oldest: this.#oldest,
      slots: this.#slots,
      rows: rows.map((row) => row ?? new Float32Array(0)),
    }
  }

  /** Takes over a state that has been checked: rows for oldest … newest, no row wider than `slots`. */
  adopt(state: SeriesState): void {
    this.#newest = state.newest
    this.#oldest = state.oldest
    this.#slots = state.slots
    const first = this.oldest
    state.rows.forEach((row, i) => {
      this.#rows[(first + i) % this.history] = row.length > 0 ? row : undefined
    })
    this.#rowStart = this.#rowEnd = 0
  }

  #believed(interval: number): boolean {
    if (Math.abs(interval - this.#leapTo) > 1) this.#leapWitnesses = 0
    this.#leapTo = interval
    return ++this.#leapWitnesses >= LEAP_WITNESSES
  }

  #advance(interval: number): void {
    const by = this.#newest < 0 ? 0 : interval - this.#newest
    for (let k = 1; k <= Math.min(by, this.history); k++)
      this.#rows[(this.#newest + k) % this.history] = undefined
    if (this.#newest < 0) this.#oldest = interval
    this.#newest = interval
    this.#leapWitnesses = 0
    if (by > 0) this.onAdvance(by)
  }

  #widen(): void {
    const at = Math.round(this.#rowStart / this.intervalMs) % this.history
    const wider = new Float32Array(Math.max(this.#slots, Math.ceil(this.#row.length * 1.5)))
    wider.set(this.#row)
    this.#rows[at] = wider
    this.#row = wider
  }
}
