import type { RowMap, RowsFound } from '../../../src/backends/rows/row-map'

/** Rows in memory, that are there after a close. */
export class MapOfRows implements RowMap {
  readonly rows = new Map<string, Uint8Array>()

  async get(names: readonly string[]): Promise<RowsFound> {
    return names.map((name) => this.rows.get(name))
  }

  async commit(changes: ReadonlyMap<string, Uint8Array | undefined>): Promise<void> {
    for (const [name, row] of changes) {
      if (row) this.rows.set(name, Buffer.from(row))
      else this.rows.delete(name)
    }
  }
}
