import type { ShardId } from './segment'

/** Numbers for the names of shards. A shard keeps its number, and none is given twice: tables hold numbers. */
export class ShardIndex {
  readonly #ids: ShardId[]
  readonly #numbers: Map<ShardId, number>

  constructor(ids: Iterable<ShardId> = []) {
    this.#ids = [...ids]
    this.#numbers = new Map(this.#ids.map((id, number) => [id, number]))
  }

  get size(): number {
    return this.#ids.length
  }

  idOf(number: number): ShardId {
    return this.#ids[number]!
  }

  /** The number of a shard, a new one where it has none. */
  numberOf(id: ShardId): number {
    let number = this.#numbers.get(id)
    if (number === undefined) {
      number = this.#ids.push(id) - 1
      this.#numbers.set(id, number)
    }
    return number
  }

  /** The number of a shard that has one. */
  find(id: ShardId): number | undefined {
    return this.#numbers.get(id)
  }

  [Symbol.iterator](): IterableIterator<ShardId> {
    return this.#ids[Symbol.iterator]()
  }

  /** Whether every shard that has a number there has the same one here. */
  covers(other: ShardIndex): boolean {
    return other.size <= this.size && [...other].every((id, number) => this.#ids[number] === id)
  }
}
