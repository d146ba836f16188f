import type { SegmentAt } from '../../shard-store'
import { type Row, Statement } from './connection'
import { nameOf } from './fence-rows'
import { numbers } from './literal'
import type { ShardDatabase } from './shard-database'

/** The functions of sql/ that a store calls, as statements. */
export class ShardFunctions {
  readonly read: Statement
  readonly write: Statement
  readonly reap: Statement
  readonly buckets: Statement
  readonly apply: Statement
  readonly found: Statement
  readonly scan: Statement
  readonly named: Statement
  readonly changes: Statement
  readonly ingest: Statement
  readonly erase: Statement
  readonly #fences: Statement
  readonly #database: ShardDatabase

  constructor(database: ShardDatabase) {
    this.#database = database
    const calling = (name: string, parameters: number) =>
      Statement.calling(database.names.of(name), parameters)
    this.read = calling('read_1', 7)
    this.write = calling('write_1', 9)
    this.reap = calling('reap_1', 2)
    this.buckets = calling('buckets_1', 3)
    this.apply = calling('apply_1', 5)
    this.found = calling('found_1', 1)
    this.scan = calling('scan_1', 10)
    this.named = calling('named_1', 7)
    this.changes = calling('changes_1', 7)
    this.ingest = calling('ingest_1', 10)
    this.erase = calling('erase_1', 7)
    this.#fences = calling('fences_1', 3)
  }

  /** Fences by name, a row each. */
  fences(segments: readonly SegmentAt[]): Promise<Row[]> {
    const names = segments.map(({ segment }) => `"\\\\x${nameOf(segment)}"`)
    const buckets = numbers(segments.map(({ bucketId }) => bucketId))
    return this.#database.read(this.#fences, [buckets, `{${names.join(',')}}`, this.#database.time])
  }
}
