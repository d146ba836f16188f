import { bucketSegment, isTagSegment, type SegmentId } from '../../placement/segment'
import type { Call, Done, Entry } from '../../shard-store'

interface TrueEntry {
  readonly tag: string
  readonly bucketId: number
  readonly value: Uint8Array
  readonly version: number
  readonly expiresAt: number
}

/**
 * What every key holds, by the writes that shards carried out, in the order in which they did: one copy of each key and no
 * shards at all. Whatever an owner answers, hands on or takes over is compared with it (I3).
 */
export class Truth {
  readonly #entries = new Map<string, TrueEntry>()
  /** The last write to every key, deletes included. */
  readonly #changes = new Map<string, { tag: string; bucketId: number; seq: number }>()
  readonly #seqs = new Map<SegmentId, number>()

  /** The number of a segment's last write. */
  seq(segment: SegmentId): number {
    return this.#seqs.get(segment) ?? 0
  }

  carve(tag: SegmentId, bucketId: number): void {
    this.#seqs.set(tag, this.seq(bucketSegment(bucketId)))
  }

  fold(tag: SegmentId, bucketId: number): void {
    const home = bucketSegment(bucketId)
    this.#seqs.set(home, Math.max(this.seq(home), this.seq(tag)))
  }

  /** Takes in what a shard carried out; answers what is wrong with it. */
  carriedOut(call: Call, done: Done, now: number): string | undefined {
    const { segment, key, tag, bucketId, operation } = call
    const entry = this.#live(key, now)
    const version = entry?.version ?? 0
    if (operation.kind !== 'set' && operation.kind !== 'delete') {
      if (done.applied !== (entry !== undefined))
        return `${key} was read as ${there(done.applied)}, it is ${there(!!entry)}`
      if (entry && operation.kind === 'get' && !same(entry.value, done.value))
        return `${key} was read as ${text(done.value)}, last written was ${text(entry.value)}`
      if (operation.kind === 'get' && (done.expiresAt ?? 0) !== (entry?.expiresAt ?? 0))
        return `${key} was read as expiring at ${done.expiresAt ?? 0}, it was written to at ${entry?.expiresAt ?? 0}`
      if (done.version !== version) return `${key} was read at version ${done.version}, it is at ${version}`
      return this.#wrongSeq(segment, done, this.seq(segment))
    }
    const fits = operation.ifVersion === undefined || operation.ifVersion === version
    const applies = fits && (operation.kind === 'set' || entry !== undefined)
    if (done.applied !== applies)
      return `${operation.kind} ${key}${operation.ifVersion === undefined ? '' : ` if at ${operation.ifVersion}`} ${done.applied ? 'applied' : 'did not apply'}, the key is at ${version}`
    if (!applies) return this.#wrongSeq(segment, done, this.seq(segment))
    const seq = this.seq(segment) + 1
    this.#seqs.set(segment, seq)
    this.#changes.set(key, { tag, bucketId, seq })
    if (operation.kind === 'delete' || (operation.expiresAt !== 0 && operation.expiresAt <= now))
      this.#entries.delete(key)
    else
      this.#entries.set(key, {
        tag,
        bucketId,
        value: operation.value,
        version: done.version,
        expiresAt: operation.expiresAt,
      })
    return this.#wrongSeq(segment, done, seq)
  }

  #wrongSeq(segment: SegmentId, { seq }: Done, right: number): string | undefined {
    return seq === right ? undefined : `${segment} answered seq ${seq}, it has had ${right} writes`
  }

  /** How a listing of a segment differs from the truth; `whole`: nothing may be missing. Later writes than `upTo` aside. */
  difference(
    segment: SegmentId,
    bucketId: number,
    carved: ReadonlySet<string>,
    listed: readonly Entry[],
    whole: boolean,
    now: number,
    upTo = Number.POSITIVE_INFINITY,
  ): string | undefined {
    const names = new Set<string>()
    for (const entry of listed) {
      names.add(entry.key)
      if (this.#isNewer(entry.key, upTo)) continue
      const wrong = this.differs(entry, now)
      if (wrong) return wrong
    }
    if (!whole) return undefined
    for (const [key, { tag, bucketId: its, value }] of this.#entries)
      if (
        its === bucketId &&
        contains(segment, carved, tag) &&
        !names.has(key) &&
        this.#live(key, now) &&
        !this.#isNewer(key, upTo)
      )
        return `${key} is missing, last written was ${text(value)}`
    return undefined
  }

  /** A key that was written after `after`, no later than `until`, and is not among those told. */
  untold(
    segment: SegmentId,
    bucketId: number,
    carved: ReadonlySet<string>,
    told: ReadonlySet<string>,
    after: number,
    until: number,
  ): string | undefined {
    for (const [key, { tag, bucketId: its, seq }] of this.#changes)
      if (its === bucketId && seq > after && seq <= until && contains(segment, carved, tag) && !told.has(key))
        return `the write ${seq} to ${key} is not in it, after ${after}`
    return undefined
  }

  /** How one entry of a listing or log differs. */
  differs(
    { key, value, version, expiresAt }: Pick<Entry, 'key' | 'value' | 'version' | 'expiresAt'>,
    now: number,
  ): string | undefined {
    const entry = this.#live(key, now)
    if (!entry) return `${key} is ${text(value)}, and was deleted`
    if (value !== undefined && !same(value, entry.value))
      return `${key} is ${text(value)}, last written was ${text(entry.value)}`
    if (version !== entry.version)
      return `${key} is at version ${version}, and was written at ${entry.version}`
    if (expiresAt !== entry.expiresAt)
      return `${key} expires at ${expiresAt}, and was written to at ${entry.expiresAt}`
    return undefined
  }

  has(key: string, now: number): boolean {
    return this.#live(key, now) !== undefined
  }

  #isNewer(key: string, seq: number): boolean {
    return (this.#changes.get(key)?.seq ?? 0) > seq
  }

  #live(key: string, now: number): TrueEntry | undefined {
    const entry = this.#entries.get(key)
    return entry && (entry.expiresAt === 0 || entry.expiresAt > now) ? entry : undefined
  }
}

function contains(segment: SegmentId, carved: ReadonlySet<string>, tag: string): boolean {
  return isTagSegment(segment) ? segment === `{${tag}}` : !carved.has(tag)
}

function there(present: boolean): string {
  return present ? 'present' : 'absent'
}

function same(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && Buffer.compare(a, b) === 0
}

function text(value: Uint8Array | undefined): string {
  return value === undefined ? 'absent' : Buffer.from(value).toString()
}
