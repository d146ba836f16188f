import type { FenceCommand } from '../../placement/fence'
import { decide, type FenceChange, type FenceDecision } from '../../placement/fence-table'
import type { SegmentAt, StepAnswer } from '../../shard-store'
import type { Row } from './connection'
import { nameOf, StoredFences } from './fence-rows'
import type { ShardDatabase } from './shard-database'
import type { ShardFunctions } from './shard-functions'

/** Times that a step is decided anew because the bucket changed between reading and writing. */
const TRIES = 50
/** Steps that rest on the seq that they read. */
const EXACT: ReadonlySet<FenceCommand['step']> = new Set(['cutover', 'split', 'merge', 'restore'])

/**
 * The steps of the fence table, decided here and taken in one statement if the bucket is still what they were decided on.
 * Nothing is locked while this process thinks, or sleeps: no client waits for a migrator.
 */
export class BucketSteps {
  readonly #database: ShardDatabase
  readonly #functions: ShardFunctions

  constructor(database: ShardDatabase, functions: ShardFunctions) {
    this.#database = database
    this.#functions = functions
  }

  step(at: SegmentAt, command: FenceCommand): Promise<StepAnswer> {
    return this.take(
      at,
      (fences) => decide(fences, at.segment, command, fences.now),
      async (fences, change) => {
        const exact = EXACT.has(command.step) ? 'true' : 'false'
        const parameters = [at.bucketId, fences.stamp, nameOf(at.segment), exact, fences.encode(change)]
        const seq = (await this.#database.write(this.#functions.apply, parameters))[0]![0]!
        return seq === null ? undefined : { seq: Number(seq) }
      },
    )
  }

  /**
   * Reads the bucket, decides, and lets `write` carry it out; again, where that says by undefined that the bucket has
   * changed. What is refused or repeated writes nothing.
   */
  async take<T extends { seq?: number }>(
    at: SegmentAt,
    judge: (fences: StoredFences) => FenceDecision,
    write: (fences: StoredFences, change: FenceChange) => Promise<T | undefined>,
  ): Promise<StepAnswer & Partial<T>> {
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      const fences = await this.read(at.bucketId)
      const decision = judge(fences)
      const { record } = decision
      if (!decision.ok) return { ok: false, record } as StepAnswer & Partial<T>
      if (isNothing(decision.change)) return { ok: true, record } as StepAnswer & Partial<T>
      const written = await write(fences, decision.change)
      if (written) return { ...written, ok: true, record: { ...record, seq: written.seq ?? record.seq } }
    }
    throw this.#database.unavailable(`changes bucket ${at.bucketId} faster than a step can be decided`)
  }

  async read(bucketId: number): Promise<StoredFences> {
    const rows: Row[] = await this.#database.read(this.#functions.buckets, [
      bucketId,
      bucketId,
      this.#database.time,
    ])
    return new StoredFences(bucketId, rows, this.#database.time ?? 0)
  }
}

function isNothing({ records, ticket, exporting, clearLogs = [] }: FenceChange): boolean {
  return records.length === 0 && ticket === undefined && exporting === undefined && clearLogs.length === 0
}
