import type { RowMap } from './row-map'

/** Rows that are remembered between two groups of steps: fences and bucket heads, and all others but entries. */
const HEADS_KEPT = 50_000
const OTHERS_KEPT = 2_000

/** Thrown by a step that needs rows which are not loaded: it has changed nothing, and is run again when they are. */
export class MissingRows extends Error {
  readonly names: readonly string[]

  constructor(names: readonly string[]) {
    super('rows are not loaded')
    this.names = names
  }
}

interface Cell {
  /** As loaded; until somebody decodes it. */
  raw?: Uint8Array
  value?: unknown
  encode?: (value: never) => Uint8Array
}

/**
 * The rows as steps see them. What a step changed is put over what its group changed, and that over what was loaded;
 * nothing reaches the map before the whole group is committed. Values are never changed in place.
 */
export class RowTable {
  readonly #map: RowMap
  readonly #heads = new Map<string, Cell>()
  readonly #others = new Map<string, Cell>()
  /** Entries, for as long as a group lasts. */
  readonly #entries = new Map<string, Cell>()
  #group = new Map<string, Cell>()
  #step = new Map<string, Cell>()

  constructor(map: RowMap) {
    this.#map = map
  }

  read<T>(name: string, decode: (row: Uint8Array) => T): T | undefined {
    const cell = this.#step.get(name) ?? this.#group.get(name) ?? this.#loaded(name).get(name)
    if (!cell) throw new MissingRows([name])
    if (cell.raw) {
      cell.value = decode(cell.raw)
      cell.raw = undefined
    }
    return cell.value as T | undefined
  }

  write<T>(name: string, value: T | undefined, encode: (value: T) => Uint8Array): void {
    this.#step.set(name, { value, encode })
  }

  /** Has them loaded together, where any of them is not. */
  want(names: readonly string[]): void {
    const missing = names.filter(
      (name) => !this.#step.has(name) && !this.#group.has(name) && !this.#loaded(name).has(name),
    )
    if (missing.length > 0) throw new MissingRows(missing)
  }

  keepStep(): void {
    for (const [name, cell] of this.#step) this.#group.set(name, cell)
    this.#step = new Map()
  }

  dropStep(): void {
    this.#step = new Map()
  }

  async load(names: Iterable<string>): Promise<void> {
    const wanted = [...new Set(names)]
    const rows = await this.#map.get(wanted)
    if (rows?.length !== wanted.length)
      throw new Error('the rows asked for and those answered differ in number')
    for (const [i, name] of wanted.entries()) this.#loaded(name).set(name, { raw: rows[i] })
  }

  get changed(): boolean {
    return this.#group.size > 0
  }

  /** Writes what the group changed. Where that fails nothing of it is known any more. */
  async commit(): Promise<void> {
    const changes = new Map<string, Uint8Array | undefined>()
    for (const [name, { value, encode }] of this.#group)
      changes.set(name, value === undefined ? undefined : encode!(value as never))
    await this.#map.commit(changes)
    for (const [name, { value }] of this.#group) this.#loaded(name).set(name, { value })
  }

  /** Between two groups. */
  endGroup(): void {
    this.#group = new Map()
    this.#entries.clear()
    if (this.#heads.size > HEADS_KEPT) this.#heads.clear()
    if (this.#others.size > OTHERS_KEPT) this.#others.clear()
  }

  forget(): void {
    this.#step = new Map()
    this.#group = new Map()
    for (const cells of [this.#heads, this.#others, this.#entries]) cells.clear()
  }

  #loaded(name: string): Map<string, Cell> {
    const kind = name[0]
    return kind === 'e' ? this.#entries : kind === 'f' || kind === 'b' ? this.#heads : this.#others
  }
}

export function decodeJson<T>(row: Uint8Array): T {
  return JSON.parse(Buffer.from(row.buffer, row.byteOffset, row.byteLength).toString()) as T
}

export function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}
