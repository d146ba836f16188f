import { ErrorCode, ForeshardError, invalid } from '../../errors'
import type { FenceCommand } from '../../placement/fence'
import { isProtected } from '../../placement/fence'
import { decide, type FenceDecision } from '../../placement/fence-table'
import { isTagSegment, tagOfSegment } from '../../placement/segment'
import type {
  Change,
  Changes,
  ChangesRequest,
  Entry,
  EraseAnswer,
  EraseRequest,
  IngestRequest,
  Page,
  ScanRequest,
  SegmentAt,
  StepAnswer,
} from '../../shard-store'
import { entryDigest } from '../entry-digest'
import type { BucketSteps } from './bucket-steps'
import type { Row } from './connection'
import { nameOf } from './fence-rows'
import { binaries, numbers, textOf, texts } from './literal'
import type { ShardDatabase } from './shard-database'
import type { ShardFunctions } from './shard-functions'

const BYTES_AT_ONCE = 8 << 20
const ENTRIES_AT_ONCE = 10_000
const CURSOR = /^(\d+)\.((?:[0-9a-f]{2})*)\.((?:[0-9a-f]{2})+)$/

/** The data side of a handoff: pages, changes, batches and deletions, a statement each. */
export class Copying {
  readonly #database: ShardDatabase
  readonly #functions: ShardFunctions
  readonly #steps: BucketSteps

  constructor(database: ShardDatabase, functions: ShardFunctions, steps: BucketSteps) {
    this.#database = database
    this.#functions = functions
    this.#steps = steps
  }

  async page(request: ScanRequest): Promise<Page> {
    const { limit, maxBytes = BYTES_AT_ONCE, want, cursor } = request
    let after: [number | null, string | null, string | null] = [null, null, null]
    if (cursor !== undefined) {
      const found = CURSOR.exec(cursor)
      if (!found) throw invalid('cursor', 'is not one that this store gave')
      after = [Number(found[1]), found[2]!, found[3]!]
    }
    const rows = await this.#database.read(this.#functions.scan, [
      ...readerOf(request),
      Math.min(limit, ENTRIES_AT_ONCE),
      Math.min(maxBytes, BYTES_AT_ONCE),
      ...after,
      this.#database.time,
    ])
    if (rows.length === 0) return this.#refused(request)
    const [seq, bound, key, tag, , , , more] = rows.at(-1)!
    return {
      ok: true,
      entries: entriesOf(rows, want),
      seq: Number(seq),
      next: more === 'true' ? `${bound}.${tag}.${key}` : undefined,
    }
  }

  async named(request: ScanRequest, keys: NonNullable<ScanRequest['keys']>): Promise<Page> {
    const rows = await this.#database.read(this.#functions.named, [
      ...readerOf(request),
      texts(keys.map((it) => it.key)),
      texts(keys.map((it) => it.tag)),
      this.#database.time,
    ])
    if (rows.length === 0) return this.#refused(request)
    return { ok: true, entries: entriesOf(rows, request.want), seq: Number(rows[0]![0]), next: undefined }
  }

  async changes(request: ChangesRequest): Promise<Changes> {
    const { segment, bucketId, ticket, after } = request
    const limit = Math.min(request.limit, ENTRIES_AT_ONCE)
    const parameters = [bucketId, nameOf(segment), ticket, after, limit, BYTES_AT_ONCE, this.#database.time]
    const rows = await this.#database.read(this.#functions.changes, parameters)
    if (rows.length === 0) return this.#refused(request)
    const changes: Change[] = []
    for (const [at, ...row] of rows) {
      if (at === null) continue
      const [key, tag] = [textOf(String(row[2])), textOf(String(row[3]))]
      const entry = row[6] === null ? undefined : entryOf(row, 'values')
      changes.push(entry ? { seq: Number(at), key, tag, entry } : { seq: Number(at), key, tag })
    }
    return { ok: true, changes, seq: Number(rows[0]![1]) }
  }

  async ingest(request: IngestRequest): Promise<StepAnswer> {
    const { segment, bucketId, epoch, ticket, batch } = request
    for (const [i, { entry }] of request.changes.entries())
      if (entry?.format !== undefined)
        throw new ForeshardError(
          ErrorCode.NOT_SUPPORTED,
          `changes[${i}].entry has the format ${entry.format}, which this store cannot read`,
        )
    // Of a key that is there twice the later change counts.
    const changes = [...new Map(request.changes.map((it) => [it.key, it])).values()]
    const data = [
      texts(changes.map((it) => it.key)),
      texts(changes.map((it) => it.tag)),
      binaries(changes.map((it) => it.entry?.value)),
      numbers(changes.map((it) => it.entry?.version)),
      numbers(changes.map((it) => it.entry?.expiresAt)),
      this.#database.time,
    ]
    const command: FenceCommand = { step: 'ingest', epoch, ticket, batch }
    return this.#steps.take(
      request,
      (fences) => {
        const decision = decide(fences, segment, command, fences.now)
        if (decision.ok && decision.change.records.length > 0) checkContained(request, decision)
        return decision
      },
      async (fences, change) => {
        const parameters = [bucketId, fences.stamp, nameOf(segment), fences.encode(change), ...data]
        const seq = (await this.#database.write(this.#functions.ingest, parameters))[0]![0]!
        return seq === null ? undefined : { seq: Number(seq) }
      },
    )
  }

  async erase(request: EraseRequest): Promise<EraseAnswer> {
    const { segment, bucketId, limit } = request
    const command = (empty: boolean): FenceCommand =>
      request.step === 'sweep'
        ? { step: 'sweep', ticket: request.ticket, empty }
        : { step: 'purge', epoch: request.epoch }
    for (;;) {
      const fences = await this.#steps.read(bucketId)
      const some = decide(fences, segment, command(false), fences.now)
      if (!some.ok) return { ok: false, record: some.record }
      // A sweep that was finished before: what lies there now was ingested.
      if (request.step === 'sweep' && some.record.loading)
        return { ok: true, deleted: 0, done: true, record: some.record }
      const all = decide(fences, segment, command(true), fences.now)
      if (!all.ok) return { ok: false, record: all.record }
      const spare = isTagSegment(segment) && isProtected(fences, segment, tagOfSegment(segment)!)
      const [encoded, ofAll] = [fences.encode(some.change), fences.encode(all.change)]
      const parameters = [bucketId, fences.stamp, nameOf(segment), encoded, ofAll, `${spare}`, limit]
      const [deleted, done] = (await this.#database.write(this.#functions.erase, parameters))[0]!
      if (deleted === null || deleted === undefined) continue
      const { record } = done === 'true' ? all : some
      return { ok: true, deleted: Number(deleted), done: done === 'true', record }
    }
  }

  async #refused(at: SegmentAt): Promise<{ ok: false; record: StepAnswer['record'] }> {
    return { ok: false, record: (await this.#steps.read(at.bucketId)).record(at.segment) }
  }
}

function readerOf({ bucketId, segment, as }: ScanRequest) {
  return [bucketId, nameOf(segment), as.role, as.role === 'owner' ? as.epoch : as.ticket]
}

function checkContained(request: IngestRequest, { record }: FenceDecision): void {
  const { segment, changes } = request
  for (const { tag } of changes)
    if (isTagSegment(segment) ? tagOfSegment(segment) !== tag : record.carved.has(tag))
      throw invalid('changes', `hold a key of tag ${JSON.stringify(tag)}, which ${segment} does not contain`)
}

function entriesOf(rows: readonly Row[], want: ScanRequest['want']): Entry[] {
  return rows.filter((row) => row[2] !== null).map((row) => entryOf(row, want))
}

function entryOf(row: Row, want: ScanRequest['want']): Entry {
  const [key, tag] = [textOf(String(row[2])), textOf(String(row[3]))]
  const [version, expiresAt] = [Number(row[4]), Number(row[5])]
  const value = Buffer.from(String(row[6]), 'hex')
  return want === 'values'
    ? { key, tag, version, expiresAt, value }
    : { key, tag, version, expiresAt, digest: entryDigest(key, value, version, expiresAt) }
}
