/**
 * What a store of one's own has to be able to do: keep rows of bytes under names. `rowStore` makes a ShardStore of it. It
 * asks for one thing at a time, and is alone with the rows between `open` and `close`.
 */
export interface RowMap {
  /** Before anything else, once. */
  open?(): void | Promise<void>
  /** The rows of these names, in their order; undefined for one that is not there. */
  get(names: readonly string[]): RowsFound | Promise<RowsFound>
  /**
   * Writes rows, and deletes those without bytes: all of it or nothing, and kept before it resolves. Where it rejects, none
   * of it may still happen later.
   */
  commit(changes: ReadonlyMap<string, Uint8Array | undefined>): void | Promise<void>
  /** After everything else, once. */
  close?(): void | Promise<void>
}

export type RowsFound = readonly (Uint8Array | undefined)[]
