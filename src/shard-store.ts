import type { Clock } from './clock'
import type { FenceCommand, FenceRecord, Proof } from './placement/fence'
import type { SegmentId, ShardId } from './placement/segment'

/**
 * CONTRACT: what a shard must be able to do. Every method is one atomic step of the shard (each call of `execute`
 * one of its own): the fence is read, judged by placement/fence.ts, and the data changed, or nothing happens.
 * A refusal is an answer, never an error. An error with code SHARD_UNAVAILABLE or SHARD_FULL means that nothing
 * happened; any other error of a write means that its outcome is unknown. testShardStore checks all of it.
 */
export interface ShardStore {
  readonly supports: ShardSupports
  /**
   * What `open` answered last, of a store whose server may be restarted meanwhile. Then it refuses everything with
   * SHARD_MISMATCH and no effect until it is opened again, because the server may have lost its last steps.
   */
  readonly incarnation?: string
  /**
   * Binds the store to a shard of a topology; repeated by every router. A store of another shard refuses. Another
   * incarnation than the last time means that state may have been lost.
   */
  open(binding: ShardBinding): Promise<{ incarnation: string }>
  /** Client operations, answered in their order. */
  execute(calls: readonly Call[]): Promise<Answer[]>
  /** One step of the fence table on one segment. 'sweep', 'purge' and 'ingest' go through the methods below. */
  step(at: SegmentAt, command: FenceCommand): Promise<StepAnswer>
  /** `found` for many buckets at once; those with a history are left alone. */
  found(buckets: readonly number[]): Promise<void>
  /** The fences of these segments; of all that have one here, where none are named. */
  fences(segments?: readonly SegmentAt[]): Promise<FenceListing[]>
  /** A page of a segment's live entries, with values or with digests only. */
  scan(request: ScanRequest): Promise<Page>
  /** The oldest changes with seq > after, in the order of seq, each with its entry as it is now (absent: deleted). */
  changes(request: ChangesRequest): Promise<Changes>
  /** Applies batch i of an import; answers a repeated one without applying it. */
  ingest(request: IngestRequest): Promise<StepAnswer>
  /** Deletes up to `limit` keys that a sweep or purge may delete; `done` when none are left. */
  erase(request: EraseRequest): Promise<EraseAnswer>
  /** Live keys and bytes of values on the whole shard; an estimate where that is cheaper. */
  size(): Promise<{ keys: number; bytes: number }>
  close(): Promise<void>
  /** Of a store that can take over what lies there already, and give it back. */
  readonly adoption?: ShardAdoption
}

/** What lies in a shard's database without being Foreshard's. Only `enter` needs the store to be open. */
export interface ShardAdoption {
  /** A page of all keys but our records, ours among them; one may come twice. `unreadable`: keys that are no UTF-8. */
  keys(cursor?: string): Promise<{ keys: readonly string[]; unreadable: number; next?: string }>
  /** Makes keys entries of their segments where they lie; one that brings a value is written first, if it is absent. */
  enter(keys: readonly KeyToEnter[]): Promise<EnteredAs[]>
  /** The whole of a key, in the database's own form. */
  read(keys: readonly string[]): Promise<(NativeValue | undefined)[]>
  write(values: readonly { readonly key: string; readonly value: NativeValue }[]): Promise<void>
  remove(keys: readonly string[]): Promise<void>
  /** Deletes all of our records and nothing else. The store is closed, and belongs to no topology any more. */
  release(): Promise<void>
}

export interface KeyToEnter extends SegmentAt {
  readonly key: string
  readonly tag: string
  readonly epoch: number
  readonly value?: NativeValue
}

/** refused: the shard does not own the segment at that epoch. taken: it brought a value, and another one lay there. */
export type EnteredAs = 'entered' | 'known' | 'absent' | 'refused' | 'taken'

export interface NativeValue {
  readonly form: Uint8Array
  /** ms since the epoch; 0: never. */
  readonly expiresAt: number
}

export interface ShardSupports {
  /** Fence check and operation are one atomic step. Without it, one process only. */
  readonly atomicExecute: boolean
  /** What `version` is: the seq of the key's last write, or derived from the value. */
  readonly versions: 'sequence' | 'value'
  readonly ttl: boolean
  /** Survives a restart. */
  readonly durable: boolean
  /** Several processes may open the same shard. */
  readonly multiProcess: boolean
  readonly maxKeyBytes: number
  readonly maxValueBytes: number
  /** Keys may hold U+0000. */
  readonly nulInKeys: boolean
  /** Runs the commands of this kind of server inside its fence: operations of kind 'commands', scans that want 'keys'. */
  readonly commands?: CommandSet
  /** Beginnings of keys that it keeps for its own records. */
  readonly reservedPrefixes?: readonly string[]
  /** It takes in values that come in parts. Without it they are sent whole. */
  readonly parts?: boolean
}

export type CommandSet = 'redis'

export interface ShardBinding {
  readonly topologyId: string
  readonly shard: ShardId
  readonly buckets: number
  /** For a store without a clock of its own. */
  readonly clock: Clock
}

export interface SegmentAt {
  readonly segment: SegmentId
  readonly bucketId: number
}

/** Equal versions of a key mean that no write came between. 0 stands for an absent key. */
export type Version = number

export type Operation =
  | { readonly kind: 'get' | 'has' }
  | {
      readonly kind: 'set'
      readonly value: Uint8Array
      /** Absolute, ms since the epoch; 0: never. */
      readonly expiresAt: number
      /** Only if this is the key's version; 0: only if the key is absent. */
      readonly ifVersion?: Version
    }
  | { readonly kind: 'delete'; readonly ifVersion?: Version }
  | {
      /** Only of stores that declare `supports.commands`: in their order, in one atomic step. */
      readonly kind: 'commands'
      readonly commands: readonly NativeCommand[]
      /** Whether any of them may change anything. */
      readonly writes: boolean
    }

/** A command of the server that a store stands for. A failed one does not end those after it. */
export interface NativeCommand {
  /** Its name and its arguments. */
  readonly argv: readonly (string | Uint8Array)[]
  /** Where in argv the keys are that it only reads, and those that it may change: all of the call's tag. */
  readonly reads: readonly number[]
  readonly writes: readonly number[]
}

export type NativeReply = Uint8Array | string | number | null | NativeFailure | readonly NativeReply[]

/** What the server answered to a command that it did not carry out, in its own words. */
export interface NativeFailure {
  readonly error: string
  /** The key lies on the server, but was never written through a store: the command was not tried. */
  readonly foreign?: string
}

/** One client operation: it names the segment and epoch that the caller believes in. */
export interface Call extends SegmentAt {
  readonly epoch: number
  readonly key: string
  readonly tag: string
  readonly operation: Operation
  /** Carried after a 'moved' refusal: activates the import it fits before anything else. */
  readonly proof?: Proof
}

export type Answer = Done | Refusal

export interface Done {
  readonly ok: true
  /** Of a get: the value, undefined for an absent key. */
  readonly value?: Uint8Array
  /** The key's version after the operation; 0 when absent. */
  readonly version: Version
  /** The segment's sequence number after the operation. */
  readonly seq: number
  /** Of a write: false when `ifVersion` did not match, or there was nothing to delete. Of a read: the key is there. */
  readonly applied: boolean
  /** Of a get that found the key: when it expires, ms since the epoch; 0, or left out by a store without TTL: never. */
  readonly expiresAt?: number
  /** Of commands: an answer for each. */
  readonly replies?: readonly NativeReply[]
}

/** 'Not mine' or 'not now': no effect, and all that the shard knows of who governs the key. */
export interface Refusal {
  readonly ok: false
  /** held: retry here after `retryAfterMs`. elsewhere: `governs` and `record` tell what this shard knows. */
  readonly reason: 'held' | 'elsewhere'
  readonly governs: SegmentId
  readonly record: FenceRecord
  readonly retryAfterMs: number
}

export type StepAnswer =
  | { readonly ok: true; readonly record: FenceRecord }
  | { readonly ok: false; readonly record: FenceRecord }

export interface FenceListing extends SegmentAt {
  readonly record: FenceRecord
  /** The highest ticket of the bucket on this shard. */
  readonly bucketTicket: number
}

/** In whose name a segment is read: its owner's at an epoch, its exporter's or importer's with a ticket. */
export type ReadAs =
  | { readonly role: 'owner'; readonly epoch: number }
  | { readonly role: 'source' | 'target'; readonly ticket: number }

export interface Entry {
  readonly key: string
  readonly tag: string
  readonly version: Version
  /** 0: never. */
  readonly expiresAt: number
  /** Left out where digests were asked for. */
  readonly value?: Uint8Array
  /** What the value is, where it is not the bytes of a client: a form that only stores of one kind read. */
  readonly format?: string
  /** 32 bits over key, value, expiry and version: the same on every store. */
  readonly digest?: number
  /** Of a value that is too large for one step: nobody sees it before its last part. No entry follows a part in a batch. */
  readonly part?: { readonly number: number; readonly last: boolean }
}

export interface ScanRequest extends SegmentAt {
  readonly as: ReadAs
  /** 'keys': neither; only of stores that declare `supports.commands`. */
  readonly want: 'values' | 'digests' | 'keys'
  /** Only these keys, in one page unless one comes in parts; absent ones are left out. */
  readonly keys?: readonly { readonly key: string; readonly tag: string }[]
  /** Where the page before ended; opaque. */
  readonly cursor?: string
  /** Entries a page; a page may be shorter, and stops early at `maxBytes` of values. */
  readonly limit: number
  readonly maxBytes?: number
  /** Large values may come in parts, over several pages; a part ends its page. */
  readonly parts?: boolean
}

export type Page =
  | { readonly ok: true; readonly entries: readonly Entry[]; readonly seq: number; readonly next?: string }
  | { readonly ok: false; readonly record: FenceRecord }

export interface ChangesRequest extends SegmentAt {
  readonly ticket: number
  readonly after: number
  readonly limit: number
  /** As in a scan. */
  readonly parts?: boolean
  /** Goes on with the value whose part ended the answer before; opaque. */
  readonly cursor?: string
}

export interface Change {
  readonly seq: number
  readonly key: string
  readonly tag: string
  readonly entry?: Entry
}

export type Changes =
  | { readonly ok: true; readonly changes: readonly Change[]; readonly seq: number; readonly next?: string }
  | { readonly ok: false; readonly record: FenceRecord }

export interface IngestRequest extends SegmentAt {
  readonly epoch: number
  readonly ticket: number
  readonly batch: number
  /** In order; a key without entry is deleted. */
  readonly changes: readonly { readonly key: string; readonly tag: string; readonly entry?: Entry }[]
}

export type EraseRequest = SegmentAt & { readonly limit: number } & (
    | { readonly step: 'sweep'; readonly ticket: number }
    | { readonly step: 'purge'; readonly epoch: number }
  )

export type EraseAnswer =
  | { readonly ok: true; readonly deleted: number; readonly done: boolean; readonly record: FenceRecord }
  | { readonly ok: false; readonly record: FenceRecord }
