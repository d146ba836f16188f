import { ErrorCode, ForeshardError } from '../../errors'
import type { Ledger, LedgerIdentity } from '../ledger'
import { LmdbBucket } from './lmdb-bucket'
import { type LmdbEnvironment, NoRoom, type Records } from './lmdb-environment'
import { expiredRange, ownKey, prefixOf, within } from './record-key'

/** Of the layout in record-key.ts. */
const FORMAT = 1
const IDENTITY = ownKey('identity')
const TOTALS = ownKey('totals')
/** Writing steps between two looks at what has expired. */
const STEPS_BETWEEN_REAPS = 8

/** A shard in an LMDB file, fences and data in the same transaction. Several processes of a host may use it at once. */
export class LmdbLedger implements Ledger {
  readonly #environment: LmdbEnvironment
  /** What the step at hand has touched. */
  readonly #buckets = new Map<number, LmdbBucket>()
  #records!: Records
  #keys = 0
  #bytes = 0
  #steps = 0

  constructor(environment: LmdbEnvironment) {
    this.#environment = environment
  }

  async open(): Promise<void> {
    await this.#environment.open()
    this.#records = this.#environment.records
  }

  close(): Promise<void> {
    return this.#environment.close()
  }

  read<T>(step: () => T): T {
    this.#environment.refresh()
    this.#buckets.clear()
    return step()
  }

  async write<T>(step: () => T): Promise<T> {
    try {
      return await this.#environment.write(() => {
        this.#buckets.clear()
        this.#keys = 0
        this.#bytes = 0
        const result = step()
        this.#putTotals()
        return result
      })
    } catch (cause) {
      throw cause instanceof NoRoom
        ? new ForeshardError(ErrorCode.SHARD_FULL, cause.message, { cause })
        : cause
    }
  }

  get identity(): LedgerIdentity | undefined {
    const row = this.#records.getBinary(IDENTITY)
    if (!row) return undefined
    let identity: LedgerIdentity & { format: number }
    try {
      identity = JSON.parse(row.toString())
    } catch (cause) {
      throw new ForeshardError(
        ErrorCode.SHARD_MISMATCH,
        'the LMDB file does not hold a shard that can be read',
        { cause },
      )
    }
    const { format, topologyId, shard, buckets, incarnation } = identity
    if (format !== FORMAT)
      throw new ForeshardError(
        ErrorCode.SHARD_MISMATCH,
        `the LMDB file has format ${format}, this version of foreshard reads format ${FORMAT}; update it`,
      )
    return { topologyId, shard, buckets, incarnation }
  }

  setIdentity(identity: LedgerIdentity): void {
    this.#records.put(IDENTITY, Buffer.from(JSON.stringify({ format: FORMAT, ...identity })))
  }

  bucket(bucketId: number): LmdbBucket {
    let bucket = this.#buckets.get(bucketId)
    if (!bucket) {
      bucket = new LmdbBucket(bucketId, this.#records, (keys, bytes) => {
        this.#keys += keys
        this.#bytes += bytes
      })
      this.#buckets.set(bucketId, bucket)
    }
    return bucket
  }

  buckets(): Iterable<number> {
    const found = new Set<number>()
    for (const kind of [2, 3])
      for (const key of this.#records.getKeys(within(prefixOf(kind)))) found.add(key.readUInt32BE(1))
    return [...found].sort((a, b) => a - b)
  }

  reap(now: number, limit: number): void {
    if (++this.#steps % STEPS_BETWEEN_REAPS !== 0) return
    const most = limit * STEPS_BETWEEN_REAPS
    const expired = [...this.#records.getKeys({ ...expiredRange(now), limit: most })]
    for (const at of expired) {
      // Kind 7 ends as the key of the entry does.
      const entry = Buffer.concat([Buffer.of(4), at.subarray(9)])
      const bucket = this.bucket(at.readUInt32BE(9))
      const before = bucket.at(entry)
      if (before) bucket.delete(before.key, before.tag)
      else this.#records.remove(at)
    }
    this.#reapLogs(most)
  }

  #reapLogs(limit: number): void {
    for (const cleared of [...this.#records.getKeys({ ...within(prefixOf(8)), limit: 1 })]) {
      const bucketId = cleared.readUInt32BE(1)
      const log = cleared.readUInt32BE(5)
      const rows = [5, 6].flatMap((kind) => [
        ...this.#records.getKeys({ ...within(prefixOf(kind, bucketId, log)), limit }),
      ])
      for (const row of rows) this.#records.remove(row)
      if (rows.length === 0) this.#records.remove(cleared)
    }
  }

  size(): { keys: number; bytes: number } {
    const row = this.#records.getBinary(TOTALS)
    return row ? { keys: row.readDoubleLE(0), bytes: row.readDoubleLE(8) } : { keys: 0, bytes: 0 }
  }

  #putTotals(): void {
    if (this.#keys === 0 && this.#bytes === 0) return
    const { keys, bytes } = this.size()
    const row = Buffer.allocUnsafe(16)
    row.writeDoubleLE(keys + this.#keys, 0)
    row.writeDoubleLE(bytes + this.#bytes, 8)
    this.#records.put(TOTALS, row)
  }
}
