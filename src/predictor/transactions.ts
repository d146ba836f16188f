import { murmur3 } from '../placement/hash'

/** More distinct keys than this say nothing about any two of them. */
export const LONGEST_TRANSACTION = 60

export interface Transaction {
  readonly id: string
  /** Hashes of the distinct tags, at most LONGEST_TRANSACTION + 1. */
  readonly tags: number[]
  /** Hashes of the distinct keys, bounded likewise. */
  readonly keys: number[]
  opened: number
}

/** A finished transaction over two or more keys. */
export interface Sampled {
  readonly tags: readonly number[]
  readonly keys: number
  /** How many transactions it stands for. */
  readonly weight: number
  /** Interval in which it began. */
  readonly interval: number
}

export interface TransactionsState {
  open: { id: string; tags: number[]; keys: number[]; opened: number }[]
  sample: Sampled[]
  next: number
  finished: number
  rate: number
  inInterval: number
  chance: number
}

/**
 * Puts transactions together from log entries that share an id, in a window of bounded size, and keeps a sample of
 * those over two or more keys. A transaction is finished when so many younger ones have begun that the window is full;
 * an entry that comes even later starts a new one.
 *
 * The sample reaches `span` intervals back: above the rate at which all of them fit, it takes one in n, by a hash of the id, lets it
 * stand for n, and does not even put the others together.
 */
export class Transactions {
  readonly window: number
  readonly capacity: number
  readonly span: number
  /** Insertion order is age. */
  readonly #open = new Map<string, Transaction>()
  readonly #sample: Sampled[] = []
  #last: Transaction | undefined
  #next = 0
  #finished = 0
  /** Multi-key transactions an interval, smoothed. */
  #rate = 0
  #inInterval = 0
  #chance = 1

  constructor(window = 1024, capacity = 24_576, span = 168) {
    this.window = window
    this.capacity = capacity
    this.span = span
  }

  get open(): number {
    return this.#open.size
  }

  /** Multi-key transactions finished so far, those estimated that were not looked at. */
  get finished(): number {
    return this.#finished
  }

  add(id: string, tagHash: number, keyHash: number, interval: number): void {
    let transaction = this.#last
    if (transaction === undefined || transaction.id !== id) {
      if (this.#chance < 1 && murmur3(id) >= this.#chance * 2 ** 32) return
      transaction = this.#open.get(id)
      if (transaction === undefined) {
        transaction = { id, tags: [], keys: [], opened: interval }
        if (this.#open.size >= this.window) {
          const oldest = this.#open.values().next().value!
          this.#open.delete(oldest.id)
          this.#finish(oldest)
        }
        this.#open.set(id, transaction)
      }
      this.#last = transaction
    }
    const { tags, keys } = transaction
    if (keys.length > LONGEST_TRANSACTION) return
    if (!keys.includes(keyHash)) keys.push(keyHash)
    if (!tags.includes(tagHash)) tags.push(tagHash)
  }

  /** The sample, and what is open but has two keys already. */
  *sample(): IterableIterator<Sampled> {
    yield* this.#sample
    for (const { tags, keys, opened } of this.#open.values())
      if (keys.length > 1) yield { tags, keys: keys.length, weight: 1, interval: opened }
  }

  /** So many intervals have gone by: the share that is sampled follows the rate. */
  advance(intervals: number): void {
    const passed = Math.min(intervals, this.span)
    const share = this.#rate === 0 ? 1 : 0.2
    this.#rate = 0.8 ** (passed - 1) * (this.#rate + share * (this.#inInterval - this.#rate))
    this.#inInterval = 0
    this.#chance = Math.min(1, this.capacity / this.span / Math.max(this.#rate, 1e-9))
  }

  state(): TransactionsState {
    return {
      open: [...this.#open.values()].map((open) => ({ ...open })),
      sample: this.#sample.map((sampled) => ({ ...sampled })),
      next: this.#next,
      finished: this.#finished,
      rate: this.#rate,
      inInterval: this.#inInterval,
      chance: this.#chance,
    }
  }

  adopt(state: TransactionsState): void {
    for (const open of state.open) this.#open.set(open.id, { ...open })
    this.#sample.push(...state.sample)
    this.#next = state.next
    this.#finished = state.finished
    this.#rate = state.rate
    this.#inInterval = state.inInterval
    this.#chance = state.chance
  }

  #finish(transaction: Transaction): void {
    if (this.#last === transaction) this.#last = undefined
    const { tags, keys, opened } = transaction
    if (keys.length < 2) return
    const weight = 1 / this.#chance
    this.#finished += weight
    this.#inInterval += weight
    const sampled: Sampled = { tags, keys: keys.length, weight, interval: opened }
    if (this.#sample.length < this.capacity) this.#sample.push(sampled)
    else {
      this.#sample[this.#next] = sampled
      this.#next = (this.#next + 1) % this.capacity
    }
  }
}
