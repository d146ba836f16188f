import type { AccessLogEntry } from '../../tracking/access-log'
import type { TagTable } from './tag-table'

/** What a log said about one interval, summed up: a policy's view of the past, and all that a replay keeps of it. */
export interface PastInterval {
  /** ms since the epoch; the interval ends before `start + intervalMs`. */
  readonly start: number
  /** Accesses, writes weighted. */
  readonly load: number
  /** Transactions over two distinct keys or more. */
  readonly multiKey: number
  /** Every tag that was accessed, with its load. */
  tags(): IterableIterator<[tag: string, load: number]>
  /** The distinct tags of every transaction that touched two of them or more; over one tag none can cross. */
  transactions(): IterableIterator<string[]>

  /**
   * The same in numbers, for policies in a hurry: a number stands for the same tag in all intervals of one step, and
   * perhaps for another one in later steps. Tag ids[i] has loads[i].
   */
  readonly ids: Uint32Array
  readonly loads: Float64Array
  /** Transaction i touches the tags touched[ends[i - 1]] to touched[ends[i]], the latter excluded. */
  readonly ends: Uint32Array
  readonly touched: Uint32Array
  nameOf(id: number): string
}

/** An interval once it is over. Immutable. */
export class ReplayedInterval implements PastInterval {
  constructor(
    private readonly table: TagTable,
    /** Number of the interval since the epoch. */
    readonly index: number,
    readonly start: number,
    readonly load: number,
    /** Sum of the squared weights of the accesses: load² / squares is the number of equal accesses it is worth. */
    readonly squares: number,
    readonly ids: Uint32Array,
    readonly loads: Float64Array,
    readonly multiKey: number,
    readonly ends: Uint32Array,
    readonly touched: Uint32Array,
  ) {}

  nameOf(id: number): string {
    return this.table.nameOf(id)
  }

  *tags(): IterableIterator<[string, number]> {
    for (let i = 0; i < this.ids.length; i++) yield [this.table.nameOf(this.ids[i]!), this.loads[i]!]
  }

  *transactions(): IterableIterator<string[]> {
    for (let i = 0, from = 0; i < this.ends.length; i++) {
      const tags: string[] = []
      for (; from < this.ends[i]!; from++) tags.push(this.table.nameOf(this.touched[from]!))
      yield tags
    }
  }
}

interface OpenTransaction {
  key: string
  multiKey: boolean
  tags: number[]
}

/** An interval that is still being counted. A transaction that goes on in the next interval counts there anew. */
export class OpenInterval {
  readonly #loads = new Map<number, number>()
  readonly #transactions = new Map<string, OpenTransaction>()
  #squares = 0

  constructor(
    private readonly table: TagTable,
    readonly index: number,
    readonly start: number,
    private readonly writeWeight: number,
  ) {}

  add(entry: AccessLogEntry): void {
    const count = entry.count ?? 1
    const weight = entry.operation === 'write' ? this.writeWeight : 1
    const id = this.table.seen(entry.key, this.index)
    this.#loads.set(id, (this.#loads.get(id) ?? 0) + count * weight)
    this.#squares += count * weight * weight
    const name = entry.transactionId
    if (name === undefined || name === '') return
    const transaction = this.#transactions.get(name)
    if (!transaction) {
      this.#transactions.set(name, { key: entry.key, multiKey: false, tags: [id] })
      return
    }
    if (entry.key !== transaction.key) transaction.multiKey = true
    transaction.tags.push(id)
  }

  close(): ReplayedInterval {
    let load = 0
    let multiKey = 0
    const ends: number[] = []
    const touched: number[] = []
    for (const weight of this.#loads.values()) load += weight
    for (const transaction of this.#transactions.values()) {
      if (!transaction.multiKey) continue
      multiKey++
      const tags = new Set(transaction.tags)
      if (tags.size < 2) continue
      for (const id of tags) touched.push(id)
      ends.push(touched.length)
    }
    return new ReplayedInterval(
      this.table,
      this.index,
      this.start,
      load,
      this.#squares,
      Uint32Array.from(this.#loads.keys()),
      Float64Array.from(this.#loads.values()),
      multiKey,
      Uint32Array.from(ends),
      Uint32Array.from(touched),
    )
  }
}
