import { type Clock, type Random, systemRandom } from '../../clock'
import { ErrorCode, ForeshardError, invalid } from '../../errors'
import { checkFields, type Fields } from '../../options'
import type { FenceCommand } from '../../placement/fence'
import { OWN_PREFIX } from '../../placement/key'
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
  ShardAdoption,
  ShardBinding,
  ShardStore,
  ShardSupports,
  StepAnswer,
} from '../../shard-store'
import { checkTimeAndChance } from '../injected'
import { RequestChecks } from '../request-checks'
import { CallQueue } from './call-queue'
import { connectionOf } from './client'
import { isCommandCall } from './command-batch'
import { CommandQueue } from './command-queue'
import type { Reply } from './connection'
import { eraseSegment, ingestBatch, readChanges, readNamed, readPage } from './copying'
import { nameOf, recordOf, segmentNamed } from './fence-fields'
import { listKeys } from './key-listing'
import { FENCES_LUA, FOUND_LUA, STEP_LUA } from './lua/step'
import { RedisAdoption } from './redis-adoption'
import { checkFlag, checkPrefix } from './redis-options'
import { Script } from './script'
import { ShardServer } from './shard-server'
import { estimateSize } from './size'

const STEP = new Script(STEP_LUA)
const FOUND = new Script(FOUND_LUA)
const FENCES = new Script(FENCES_LUA)

const BUCKETS_AT_ONCE = 100
/** Redis takes 512 MB; but a value passes through the server's one thread in one piece. */
const MAX_VALUE_BYTES = 16 * 1024 * 1024
const LARGEST_VALUE = 511 * 1024 * 1024

export interface RedisStoreOptions {
  /** What the keys of Foreshard's own records begin with; refused as a beginning of other keys. */
  prefix?: string
  /** Whether the server keeps what it acknowledged over a restart (AOF); Foreshard cannot tell by itself. */
  durable?: boolean
  /** Allows a server that throws keys away when its memory is full. What it throws away is lost. */
  cache?: boolean
  maxValueBytes?: number
  /** A cutover and an activation answer when so many replicas have them. */
  replicas?: { count: number; timeoutMs: number }
  /** Judges expiries and holds in place of the server's clock, for simulations. Keys then get no TTL of Redis. */
  clock?: Clock
  random?: Random
}

/** A database of a Redis (6.2 or later) or Valkey server as a shard. The client stays the caller's: `close` leaves it open. */
export function redisStore(client: object, options: RedisStoreOptions = {}): ShardStore {
  return new RedisStore(client, options)
}

const FIELDS: Fields<RedisStoreOptions> = {
  prefix: true,
  durable: true,
  cache: true,
  maxValueBytes: true,
  replicas: true,
  clock: true,
  random: true,
}
const REPLICA_FIELDS: Fields<NonNullable<RedisStoreOptions['replicas']>> = { count: true, timeoutMs: true }

class RedisStore implements ShardStore {
  readonly supports: ShardSupports
  readonly adoption: ShardAdoption
  readonly #server: ShardServer
  readonly #checks: RequestChecks
  readonly #calls: CallQueue
  readonly #commands: CommandQueue
  readonly #replicas: RedisStoreOptions['replicas']
  /** How many have it open: each closes for itself alone. */
  #openers = 0

  constructor(client: object, options: RedisStoreOptions) {
    checkFields(options, FIELDS, 'options')
    const { prefix = '~foreshard:', durable = false, maxValueBytes = MAX_VALUE_BYTES } = options
    checkPrefix(prefix)
    checkFlag(durable, 'options.durable')
    if (!Number.isSafeInteger(maxValueBytes) || maxValueBytes < 1 || maxValueBytes > LARGEST_VALUE)
      throw invalid('options.maxValueBytes', `must be a whole number from 1 to ${LARGEST_VALUE}`)
    const { cache = false, clock, random = systemRandom } = options
    checkFlag(cache, 'options.cache')
    checkTimeAndChance(clock, random)
    this.#replicas = checkReplicas(options.replicas)
    this.supports = {
      atomicExecute: true,
      versions: 'sequence',
      ttl: true,
      durable,
      multiProcess: true,
      maxKeyBytes: 64 * 1024,
      maxValueBytes,
      nulInKeys: true,
      parts: true,
      // Under another clock than its own the server could not end what a command gives a time to live.
      ...(clock ? {} : { commands: 'redis' }),
      reservedPrefixes: prefix.startsWith(OWN_PREFIX) ? [OWN_PREFIX] : [OWN_PREFIX, prefix],
    }
    this.#checks = new RequestChecks(this.supports)
    const newId = () => Math.floor(random() * 2 ** 48).toString(16)
    const connection = connectionOf(client)
    this.#server = new ShardServer(connection, { prefix, cache, clock, newId })
    this.adoption = new RedisAdoption(connection, this.#server, prefix)
    this.#calls = new CallQueue(this.#server)
    this.#commands = new CommandQueue(this.#server)
  }

  async open(binding: ShardBinding): Promise<{ incarnation: string }> {
    const { incarnation, buckets } = await this.#server.bind(binding)
    this.#checks.buckets = buckets
    this.#openers++
    return { incarnation }
  }

  get incarnation(): string {
    return this.#server.incarnation
  }

  /** Closes it for one opener. The client is its owner's to close. */
  async close(): Promise<void> {
    if (this.#openers > 0) this.#openers--
  }

  async execute(calls: readonly Call[]): Promise<Answer[]> {
    this.#ready()
    this.#checks.calls(calls)
    let proofs: Promise<StepAnswer>[] | undefined
    for (const call of calls) {
      const { segment, bucketId, proof } = call
      if (proof) {
        proofs ??= []
        proofs.push(this.#step({ segment, bucketId }, { step: 'activate', proof }))
      }
    }
    // A proof activates the import that it fits; where it fits none the call is answered by what stands.
    if (proofs) await Promise.all(proofs)
    if (!calls.some(isCommandCall)) return this.#calls.execute(calls)
    return Promise.all(
      calls.map(async (call) =>
        isCommandCall(call) ? this.#commands.execute(call) : (await this.#calls.execute([call]))[0]!,
      ),
    )
  }

  async step(at: SegmentAt, command: FenceCommand): Promise<StepAnswer> {
    this.#ready()
    this.#checks.step(at, command)
    return this.#step(at, command)
  }

  async #step(at: SegmentAt, command: FenceCommand): Promise<StepAnswer> {
    const server = this.#server
    const keys = [server.bucketKey(at.bucketId)]
    const args = [server.time, nameOf(at.segment), JSON.stringify(command)]
    const [ok, fields] = (await server.run(STEP, keys, args)) as [Reply, Reply[]]
    if (ok && this.#replicas && (command.step === 'cutover' || command.step === 'activate'))
      await server.replicated(this.#replicas.count, this.#replicas.timeoutMs)
    return { ok: ok !== null, record: recordOf(fields) }
  }

  async found(buckets: readonly number[]): Promise<void> {
    this.#ready()
    this.#checks.founding(buckets)
    await this.#inChunks(buckets, (some) =>
      this.#server.run(
        FOUND,
        some.map((bucketId) => this.#server.bucketKey(bucketId)),
        [],
      ),
    )
  }

  async fences(segments?: readonly SegmentAt[]): Promise<FenceListing[]> {
    this.#ready()
    this.#checks.segments(segments)
    const asked: readonly { bucketId: number; name: string }[] = segments
      ? segments.map(({ segment, bucketId }) => ({ bucketId, name: nameOf(segment) }))
      : Array.from({ length: this.#checks.buckets }, (_, bucketId) => ({ bucketId, name: '*' }))
    const listings: FenceListing[] = []
    await this.#inChunks(asked, async (some) => {
      const keys = some.map(({ bucketId }) => this.#server.bucketKey(bucketId))
      const names = some.map(({ name }) => name)
      const reply = (await this.#server.run(FENCES, keys, names)) as [Reply, Reply[]][]
      for (const [i, [ticket, list]] of reply.entries()) {
        const { bucketId } = some[i]!
        for (let at = 0; at < list.length; at += 4) {
          const segment = segmentNamed(String(list[at]), bucketId)
          const record = recordOf(list.slice(at + 1, at + 4))
          listings.push({ segment, bucketId, record, bucketTicket: Number(ticket) })
        }
      }
    })
    return listings
  }

  /** One chunk after the other, so that nobody else on the server waits for all of them. */
  async #inChunks<T>(items: readonly T[], act: (some: readonly T[]) => Promise<unknown>): Promise<void> {
    for (let i = 0; i < items.length; i += BUCKETS_AT_ONCE) await act(items.slice(i, i + BUCKETS_AT_ONCE))
  }

  async scan(request: ScanRequest): Promise<Page> {
    this.#ready()
    this.#checks.scan(request)
    const { want, keys } = request
    if (want === 'keys') return listKeys(this.#server, request)
    const copied = { ...request, want }
    return keys ? readNamed(this.#server, copied, keys) : readPage(this.#server, copied)
  }

  async changes(request: ChangesRequest): Promise<Changes> {
    this.#ready()
    this.#checks.changes(request)
    return readChanges(this.#server, request)
  }

  async ingest(request: IngestRequest): Promise<StepAnswer> {
    this.#ready()
    this.#checks.batch(request)
    return ingestBatch(this.#server, request)
  }

  async erase(request: EraseRequest): Promise<EraseAnswer> {
    this.#ready()
    this.#checks.erasure(request)
    return eraseSegment(this.#server, request)
  }

  async size(): Promise<{ keys: number; bytes: number }> {
    this.#ready()
    return estimateSize(this.#server, this.#checks.buckets)
  }

  #ready(): void {
    if (this.#openers === 0)
      throw new ForeshardError(ErrorCode.CLOSED, 'the store is not open; a router opens it and closes it')
  }
}

function checkReplicas(replicas: RedisStoreOptions['replicas']): RedisStoreOptions['replicas'] {
  if (replicas === undefined) return undefined
  checkFields(replicas, REPLICA_FIELDS, 'options.replicas')
  for (const field of ['count', 'timeoutMs'] as const)
    if (!Number.isSafeInteger(replicas?.[field]) || replicas[field] < 1)
      throw invalid(`options.replicas.${field}`, 'must be a whole number from 1')
  return { ...replicas }
}
