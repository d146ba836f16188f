import { ErrorCode, ForeshardError, invalid, shown } from '../errors'
import type { FenceCommand, FenceStep, Proof } from '../placement/fence'
import { checkKey, isWellFormed, type KeyRules } from '../placement/key'
import { bucketSegment, checkSegment, isTagSegment } from '../placement/segment'
import type {
  Call,
  ChangesRequest,
  Entry,
  EraseRequest,
  IngestRequest,
  Operation,
  ScanRequest,
  SegmentAt,
  ShardSupports,
} from '../shard-store'

/** Steps that `step` takes, with the numbers that each of them must carry. */
const STEPS: Readonly<Record<Exclude<FenceStep, 'sweep' | 'ingest' | 'purge'>, readonly string[]>> = {
  found: [],
  export: ['epoch', 'ticket'],
  prepare: ['epoch', 'ticket'],
  hold: ['epoch', 'ticket', 'durationMs'],
  cutover: ['epoch', 'ticket', 'seq'],
  activate: [],
  abort: ['epoch', 'ticket'],
  discard: ['ticket'],
  untrace: ['epoch'],
  split: ['epoch', 'ticket'],
  merge: ['epoch', 'ticket'],
  restore: ['epoch', 'ticket', 'seq'],
}

/** What every store refuses before it looks at anything or sends anything: nothing has changed then. */
export class RequestChecks {
  /** Of the topology, from `open` on. */
  buckets = 0
  readonly #keyRules: KeyRules
  readonly #maxValueBytes: number
  readonly #parts: boolean
  readonly #commands: boolean

  constructor({
    maxKeyBytes,
    maxValueBytes,
    nulInKeys,
    reservedPrefixes,
    parts = false,
    commands,
  }: ShardSupports) {
    this.#parts = parts
    this.#keyRules = { maxBytes: maxKeyBytes, nul: nulInKeys, reserved: reservedPrefixes }
    this.#maxValueBytes = maxValueBytes
    this.#commands = commands !== undefined
  }

  calls(calls: readonly Call[]): void {
    checkList(calls, 'calls')
    for (const call of calls) this.#call(call)
  }

  #call(call: Call): void {
    const { segment, bucketId, epoch, key, tag, operation, proof } = (call ?? {}) as Call
    this.segment({ segment, bucketId })
    checkKey(key, this.#keyRules)
    if (tag !== key) checkTag(tag, 'tag')
    checkInside(segment, tag, 'tag')
    checkNumber(epoch, 'epoch')
    if (proof !== undefined) checkProof(proof, 'proof')
    const kind: unknown = operation?.kind
    if (kind === 'get' || kind === 'has') return
    if (kind === 'commands' && this.#commands) {
      this.#commandsOf(operation as Extract<Operation, { kind: 'commands' }>)
      return
    }
    if (kind !== 'set' && kind !== 'delete')
      throw invalid('operation.kind', `must be get, has, set or delete, not ${shown(kind)}`)
    if (operation.kind === 'set') this.#value(operation.value, operation.expiresAt, 'operation')
    const { ifVersion } = operation as { ifVersion?: unknown }
    if (ifVersion !== undefined && !(typeof ifVersion === 'number' && Number.isFinite(ifVersion)))
      throw invalid('operation.ifVersion', `must be a version, not ${shown(ifVersion)}`)
  }

  #commandsOf({ commands }: Extract<Operation, { kind: 'commands' }>): void {
    checkList(commands, 'operation.commands')
    for (const [i, { argv, reads, writes }] of commands.entries()) {
      const field = `operation.commands[${i}]`
      for (const list of [argv, reads, writes]) checkList(list, field)
      for (const place of [...reads, ...writes]) checkKey(String(argv[place]), this.#keyRules, field)
      for (const it of argv) {
        const bytes = typeof it === 'string' ? Buffer.byteLength(it) : it.byteLength
        if (bytes > this.#maxValueBytes)
          throw new ForeshardError(
            ErrorCode.INVALID_VALUE,
            `${field} has an argument of ${bytes} bytes; this store takes at most ${this.#maxValueBytes}`,
            { field },
          )
      }
    }
  }

  step(at: SegmentAt, command: FenceCommand): void {
    this.segment(at)
    const { step } = (command ?? {}) as Partial<FenceCommand>
    if (step === 'sweep' || step === 'purge')
      throw invalid('command.step', `${step} deletes data; send it with erase`)
    if (step === 'ingest') throw invalid('command.step', 'ingest carries data; send it with ingest')
    if (typeof step !== 'string' || !Object.hasOwn(STEPS, step))
      throw invalid('command.step', `must be a step of the fence table, not ${shown(step)}`)
    for (const name of STEPS[step])
      checkNumber((command as unknown as Record<string, unknown>)[name], `command.${name}`)
    if (command.step === 'export') checkTag(command.peer, 'command.peer')
    if (command.step === 'activate') checkProof(command.proof, 'command.proof')
    if (command.step === 'restore') {
      if (command.peer !== '') checkTag(command.peer, 'command.peer')
      if (typeof command.intact !== 'boolean') throw invalid('command.intact', 'must be true or false')
    }
    if (command.step !== 'prepare' && command.step !== 'restore') return
    if (command.step === 'prepare' && command.base !== undefined) checkNumber(command.base, 'command.base')
    const { carved } = command
    if (carved === undefined) return
    checkList(carved, 'command.carved')
    for (const [i, tag] of carved.entries()) checkTag(tag, `command.carved[${i}]`)
  }

  founding(buckets: readonly number[]): void {
    checkList(buckets, 'buckets')
    for (const bucketId of buckets) this.#bucket(bucketId)
  }

  segments(segments: readonly SegmentAt[] | undefined): void {
    if (segments === undefined) return
    checkList(segments, 'segments')
    for (const at of segments) this.segment(at)
  }

  segment(at: SegmentAt): void {
    const { segment, bucketId } = (at ?? {}) as SegmentAt
    this.#bucket(bucketId)
    if (segment === bucketSegment(bucketId)) return
    checkSegment(segment, this.buckets, 'segment')
    if (!isTagSegment(segment)) throw invalid('segment', `${segment} is not in bucket ${bucketId}`)
  }

  scan(request: ScanRequest): void {
    this.segment(request)
    const { as, want, keys, cursor, limit, maxBytes } = request
    const role = as?.role
    if (role !== 'owner' && role !== 'source' && role !== 'target')
      throw invalid('as.role', `must be owner, source or target, not ${shown(role)}`)
    checkNumber(as.role === 'owner' ? as.epoch : as.ticket, as.role === 'owner' ? 'as.epoch' : 'as.ticket')
    if (want !== 'values' && want !== 'digests' && !(want === 'keys' && this.#commands))
      throw invalid('want', `must be values or digests, not ${shown(want)}`)
    checkCursor(cursor)
    checkLimit(limit, 'limit')
    if (maxBytes !== undefined) checkLimit(maxBytes, 'maxBytes')
    if (keys === undefined) return
    checkList(keys, 'keys')
    for (const [i, wanted] of keys.entries()) {
      checkTag(wanted?.key, `keys[${i}].key`)
      checkTag(wanted.tag, `keys[${i}].tag`)
    }
  }

  changes(request: ChangesRequest): void {
    this.segment(request)
    checkNumber(request.ticket, 'ticket')
    checkNumber(request.after, 'after')
    checkLimit(request.limit, 'limit')
    checkCursor(request.cursor)
  }

  batch(request: IngestRequest): void {
    this.segment(request)
    for (const name of ['epoch', 'ticket', 'batch'] as const) checkNumber(request[name], name)
    checkList(request.changes, 'changes')
    for (const [i, change] of request.changes.entries()) {
      const field = `changes[${i}]`
      checkKey(change?.key, this.#keyRules, `${field}.key`)
      checkTag(change.tag, `${field}.tag`)
      const { entry } = change
      if (!entry) continue
      if (!entry.value) throw invalid(`${field}.entry.value`, 'is missing; digests cannot be ingested')
      checkNumber(entry.version, `${field}.entry.version`)
      // A part is no value: its bytes are the store's own, and so is their limit.
      if (entry.part) this.#part(entry.part, `${field}.entry.part`)
      this.#value(entry.value, entry.expiresAt, `${field}.entry`, entry.part && Number.POSITIVE_INFINITY)
    }
  }

  #part(part: NonNullable<Entry['part']>, field: string): void {
    if (!this.#parts)
      throw new ForeshardError(
        ErrorCode.NOT_SUPPORTED,
        `${field} is of a value in parts, which this store does not take`,
      )
    if (!Number.isSafeInteger(part.number) || part.number < 0 || typeof part.last !== 'boolean')
      throw invalid(field, `must be the number of a part and whether it is the last, not ${shown(part)}`)
  }

  erasure(request: EraseRequest): void {
    this.segment(request)
    checkLimit(request.limit, 'limit')
    if (request.step === 'sweep') checkNumber(request.ticket, 'ticket')
    else if (request.step === 'purge') checkNumber(request.epoch, 'epoch')
    else throw invalid('step', `must be sweep or purge, not ${shown((request as EraseRequest).step)}`)
  }

  #bucket(bucketId: number): void {
    if (!Number.isInteger(bucketId) || bucketId < 0 || bucketId >= this.buckets)
      throw invalid('bucketId', `is ${shown(bucketId)}; this topology has buckets 0 to ${this.buckets - 1}`)
  }

  #value(value: Uint8Array, expiresAt: number, field: string, maxBytes = this.#maxValueBytes): void {
    if (!(value instanceof Uint8Array))
      throw new ForeshardError(ErrorCode.INVALID_VALUE, `${field}.value is not bytes; encode it first`, {
        field,
      })
    if (value.byteLength > maxBytes)
      throw new ForeshardError(
        ErrorCode.INVALID_VALUE,
        `${field}.value has ${value.byteLength} bytes; this store keeps at most ${maxBytes}`,
        { field },
      )
    if (!Number.isFinite(expiresAt))
      throw invalid(`${field}.expiresAt`, `must be a time in ms, or 0 for never, not ${shown(expiresAt)}`)
  }
}

function checkNumber(value: unknown, field: string): void {
  if (!Number.isSafeInteger(value)) throw invalid(field, `must be a whole number, not ${shown(value)}`)
}

function checkCursor(cursor: unknown): void {
  if (cursor !== undefined && typeof cursor !== 'string')
    throw invalid('cursor', `is not one that this store gave, but ${shown(cursor)}`)
}

function checkLimit(limit: number, field: string): void {
  if (!Number.isSafeInteger(limit) || limit < 1)
    throw invalid(field, `must be a whole number from 1, not ${shown(limit)}`)
}

/** A tag, or another name that is kept as text. */
function checkTag(tag: unknown, field: string): void {
  if (typeof tag !== 'string' || tag === '' || !isWellFormed(tag))
    throw invalid(field, `must be a string without unpaired surrogates, not ${shown(tag)}`)
}

/** A key may only be written under the fence of the segment that holds it. */
function checkInside(segment: string, tag: string, field: string): void {
  if (isTagSegment(segment) && (segment.length !== tag.length + 2 || segment.slice(1, -1) !== tag))
    throw invalid(field, `${shown(tag)} is not the tag of segment ${shown(segment)}`)
}

function checkProof(proof: Proof, field: string): void {
  checkTag(proof?.shard, `${field}.shard`)
  for (const name of ['epoch', 'ticket', 'seq'] as const) checkNumber(proof[name], `${field}.${name}`)
}

function checkList(list: unknown, field: string): void {
  if (!Array.isArray(list)) throw invalid(field, `must be an array, not ${shown(list)}`)
}
