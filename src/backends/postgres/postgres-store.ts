import { systemRandom } from '../../clock'
import { ErrorCode, ForeshardError } from '../../errors'
import { checkFields, type Fields } from '../../options'
import { type FenceCommand, NO_FENCE } from '../../placement/fence'
import { isTagSegment, tagOfSegment } from '../../placement/segment'
import type {
  Answer,
  Call,
  Changes,
  ChangesRequest,
  EraseAnswer,
  EraseRequest,
  FenceListing,
  IngestRequest,
  Page,
  ScanRequest,
  SegmentAt,
  ShardBinding,
  ShardStore,
  ShardSupports,
  StepAnswer,
} from '../../shard-store'
import { RequestChecks } from '../request-checks'
import { BucketSteps } from './bucket-steps'
import { CallQueue } from './call-queue'
import { connectionOf } from './client'
import { type CommonOptions, checkCommonOptions, checkWhole, TIMEOUT_MS } from './common-options'
import { Copying } from './copying'
import { fenceRow } from './fence-rows'
import { numbers } from './literal'
import { Names } from './names'
import { ShardDatabase } from './shard-database'
import { ShardFunctions } from './shard-functions'
import { SizeEstimate } from './size'

const BUCKETS_AT_ONCE = 4096
const FENCES_AT_ONCE = 1000
/** A row of the index holds tag and key, and at most 2,704 bytes. */
const MAX_KEY_BYTES = 1300
const MAX_VALUE_BYTES = 16 * 1024 * 1024
/** A value travels in hex, twice its length, and a string of Node has at most 512 MiB. */
const LARGEST_VALUE = 128 * 1024 * 1024

export interface PostgresStoreOptions extends CommonOptions {
  maxValueBytes?: number
}

const FIELDS: Fields<PostgresStoreOptions> = {
  schema: true,
  table: true,
  migrate: true,
  durable: true,
  maxValueBytes: true,
  timeoutMs: true,
  clock: true,
  random: true,
}

/**
 * Tables of a Postgres database (12 or later) as a shard; `pool` is a Pool of the package "pg", or a PGlite. It stays the
 * caller's: `close` leaves it open.
 */
export function postgresStore(pool: object, options: PostgresStoreOptions = {}): ShardStore {
  return new PostgresStore(pool, options)
}

class PostgresStore implements ShardStore {
  readonly supports: ShardSupports
  readonly #database: ShardDatabase
  readonly #functions: ShardFunctions
  readonly #checks: RequestChecks
  readonly #steps: BucketSteps
  readonly #copying: Copying
  readonly #calls: CallQueue
  readonly #size: SizeEstimate
  /** How many have it open: each closes for itself alone. */
  #openers = 0

  constructor(pool: object, options: PostgresStoreOptions) {
    checkFields(options, FIELDS, 'options')
    checkCommonOptions(options)
    const connection = connectionOf(pool)
    const { migrate = true, durable = !connection.embedded, maxValueBytes = MAX_VALUE_BYTES } = options
    const { timeoutMs = TIMEOUT_MS, clock, random = systemRandom } = options
    checkWhole(maxValueBytes, LARGEST_VALUE, 'options.maxValueBytes')
    this.supports = {
      atomicExecute: true,
      versions: 'sequence',
      ttl: true,
      durable,
      multiProcess: !connection.embedded,
      maxKeyBytes: MAX_KEY_BYTES,
      maxValueBytes,
      nulInKeys: true,
    }
    this.#checks = new RequestChecks(this.supports)
    const newId = () => Math.floor(random() * 2 ** 48).toString(16)
    const names = new Names(options)
    this.#database = new ShardDatabase(connection, { names, migrate, durable, timeoutMs, clock, newId })
    this.#functions = new ShardFunctions(this.#database)
    this.#steps = new BucketSteps(this.#database, this.#functions)
    this.#copying = new Copying(this.#database, this.#functions, this.#steps)
    this.#calls = new CallQueue(this.#database, this.#functions)
    this.#size = new SizeEstimate(this.#database)
  }

  /** What `open` answered last; where it turns out to be another one, nothing is served until it is opened again. */
  get incarnation(): string | undefined {
    return this.#database.incarnation
  }

  async open(binding: ShardBinding): Promise<{ incarnation: string }> {
    const { incarnation, buckets } = await this.#database.bind(binding)
    this.#checks.buckets = buckets
    this.#openers++
    return { incarnation }
  }

  /** Closes it for one opener. The pool is its owner's to close. */
  async close(): Promise<void> {
    if (this.#openers > 0) this.#openers--
  }

  async execute(calls: readonly Call[]): Promise<Answer[]> {
    this.#ready()
    this.#checks.calls(calls)
    let proofs: Promise<StepAnswer>[] | undefined
    for (const [i, { segment, bucketId, key, tag, proof }] of calls.entries()) {
      checkTag(key, tag, `calls[${i}].tag`)
      if (proof) {
        proofs ??= []
        proofs.push(this.#steps.step({ segment, bucketId }, { step: 'activate', proof }))
      }
    }
    // A proof activates the import that it fits; where it fits none the call is answered by what stands.
    if (proofs) await Promise.all(proofs)
    return this.#calls.execute(calls)
  }

  async step(at: SegmentAt, command: FenceCommand): Promise<StepAnswer> {
    this.#ready()
    this.#checks.step(at, command)
    checkTag('', tagOfSegment(at.segment) ?? '', 'segment')
    return this.#steps.step(at, command)
  }

  async found(buckets: readonly number[]): Promise<void> {
    this.#ready()
    this.#checks.founding(buckets)
    for (let from = 0; from < buckets.length; from += BUCKETS_AT_ONCE) {
      const some = buckets.slice(from, from + BUCKETS_AT_ONCE)
      await this.#database.write(this.#functions.found, [numbers(some)])
    }
  }

  async fences(segments?: readonly SegmentAt[]): Promise<FenceListing[]> {
    this.#ready()
    this.#checks.segments(segments)
    return segments ? this.#named(segments) : this.#all()
  }

  async #named(segments: readonly SegmentAt[]): Promise<FenceListing[]> {
    const listings: FenceListing[] = []
    for (let from = 0; from < segments.length; from += FENCES_AT_ONCE) {
      const rows = await this.#functions.fences(segments.slice(from, from + FENCES_AT_ONCE))
      listings.push(...rows.map(listingOf))
    }
    return listings
  }

  async #all(): Promise<FenceListing[]> {
    const listings: FenceListing[] = []
    const { buckets } = this.#functions
    for (let first = 0; first < this.#checks.buckets; first += FENCES_AT_ONCE) {
      const parameters = [first, first + FENCES_AT_ONCE - 1, this.#database.time]
      for (const row of await this.#database.read(buckets, parameters)) {
        const { segment, record } = fenceRow(row)
        if (!record) continue
        if (isTagSegment(segment) || record.state !== 'none' || record.epoch > 0 || record.ticket > 0)
          listings.push(listingOf(row))
      }
    }
    return listings
  }

  async scan(request: ScanRequest): Promise<Page> {
    this.#ready()
    this.#checks.scan(request)
    return request.keys ? this.#copying.named(request, request.keys) : this.#copying.page(request)
  }

  async changes(request: ChangesRequest): Promise<Changes> {
    this.#ready()
    this.#checks.changes(request)
    return this.#copying.changes(request)
  }

  async ingest(request: IngestRequest): Promise<StepAnswer> {
    this.#ready()
    this.#checks.batch(request)
    for (const [i, { key, tag }] of request.changes.entries()) checkTag(key, tag, `changes[${i}].tag`)
    return this.#copying.ingest(request)
  }

  async erase(request: EraseRequest): Promise<EraseAnswer> {
    this.#ready()
    this.#checks.erasure(request)
    return this.#copying.erase(request)
  }

  async size(): Promise<{ keys: number; bytes: number }> {
    this.#ready()
    return this.#size.read()
  }

  #ready(): void {
    if (this.#openers === 0)
      throw new ForeshardError(ErrorCode.CLOSED, 'the store is not open; a router opens it and closes it')
  }
}

function listingOf(row: Parameters<typeof fenceRow>[0]): FenceListing {
  const { segment, bucketId, bucketTicket, record = NO_FENCE } = fenceRow(row)
  return { segment, bucketId, bucketTicket, record }
}

/** A row of the index holds both. A tag is a part of its key, as a rule. */
function checkTag(key: string, tag: string, field: string): void {
  if (tag !== key && tag.length * 3 > MAX_KEY_BYTES && Buffer.byteLength(tag) > MAX_KEY_BYTES)
    throw new ForeshardError(
      ErrorCode.INVALID_KEY,
      `${field} is over ${MAX_KEY_BYTES} bytes of UTF-8, the limit of this store; shorten it`,
      { field },
    )
}
