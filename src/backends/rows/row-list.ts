import { decodeJson, encodeJson, type RowTable } from './row-table'

/** Items of one row. */
const CHUNK = 64

interface Chunk<T> {
  /** The highest number that was ever in it. */
  readonly top: number
  /** Ascending. */
  readonly items: readonly (readonly [number: number, item: T])[]
}

/** A list of numbered items, in rows of a few each: numbers only grow, any item can be taken out or changed. */
export class RowList<T> {
  readonly #table: RowTable
  readonly #name: string

  constructor(table: RowTable, name: string) {
    this.#table = table
    this.#name = name
  }

  /** The highest number that was given, 0 where none was or the list was emptied. */
  get last(): number {
    const last = this.#chunks().at(-1)
    return last === undefined ? 0 : this.#chunk(last).top
  }

  /** Adds an item whose number is above all others, or changes one. */
  put(number: number, item: T): void {
    const at = chunkOf(number)
    const chunks = this.#chunks()
    if (chunks.at(-1) !== at && !chunks.includes(at)) this.#putChunks([...chunks, at])
    const { top, items } = this.#chunk(at)
    const place = items.findIndex(([its]) => its === number)
    const entry = [number, item] as const
    this.#putChunk(at, {
      top: Math.max(top, number),
      items: place < 0 ? [...items, entry] : items.with(place, entry),
    })
  }

  remove(number: number): void {
    const at = chunkOf(number)
    const { top, items } = this.#chunk(at)
    const left = items.filter(([its]) => its !== number)
    const chunks = this.#chunks()
    // The last one stays: it knows which numbers were given.
    if (left.length > 0 || chunks.at(-1) === at) {
      this.#putChunk(at, { top, items: left })
      return
    }
    this.#table.write(this.#row(at), undefined, encodeJson)
    this.#putChunks(chunks.filter((its) => its !== at))
  }

  /** Items with a number above `after`, ascending, in the groups in which they are kept. */
  *after(after: number): Iterable<readonly (readonly [number: number, item: T])[]> {
    for (const at of this.#chunks()) {
      if (at < chunkOf(after + 1)) continue
      const items = this.#chunk(at).items.filter(([number]) => number > after)
      if (items.length > 0) yield items
    }
  }

  /** Takes out the items of one row; undefined when nothing is left of the list. */
  takeSome(): readonly T[] | undefined {
    const [at, ...rest] = this.#chunks()
    if (at === undefined) return undefined
    const { items } = this.#chunk(at)
    this.#table.write(this.#row(at), undefined, encodeJson)
    this.#putChunks(rest)
    return items.map(([, item]) => item)
  }

  #chunks(): readonly number[] {
    return this.#table.read<number[]>(this.#name, decodeJson) ?? []
  }

  #putChunks(chunks: readonly number[]): void {
    this.#table.write(this.#name, chunks.length === 0 ? undefined : chunks, encodeJson)
  }

  #chunk(at: number): Chunk<T> {
    return this.#table.read<Chunk<T>>(this.#row(at), decodeJson) ?? { top: 0, items: [] }
  }

  #putChunk(at: number, chunk: Chunk<T>): void {
    this.#table.write(this.#row(at), chunk, encodeJson)
  }

  #row(at: number): string {
    return `${this.#name}.${at}`
  }
}

function chunkOf(number: number): number {
  return Math.floor(number / CHUNK)
}
