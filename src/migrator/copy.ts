import type { SegmentId, ShardId } from '../placement/segment'
import type { Change, Changes, Entry, Page, SegmentAt } from '../shard-store'
import type { Gate } from './gate'
import { Refusal } from './interruption'
import { segmentAt, type Work } from './work'

/** One attempt at a handoff: who it is between, and under which ticket. */
export interface Attempt {
  readonly segment: SegmentId
  readonly from: ShardId
  readonly to: ShardId
  /** The source's. The target will own the segment one epoch on. */
  readonly epoch: number
  readonly ticket: number
}

/** What a batch carries: a key without entry is deleted. */
export type Copied = Pick<Change, 'key' | 'tag' | 'entry'>

/**
 * Pages of changes, beyond four times those that there are at first, after which a segment that is still behind counts as
 * written faster than it is copied.
 */
const PATIENCE = 64

/** The copy of one segment at the target. Invariant: it holds at least all that the source had written by `seq`. */
export class Copy {
  readonly #work: Work
  readonly #gate: Gate
  readonly #attempt: Attempt
  readonly #at: SegmentAt
  #seq: number
  /** Batches are numbered, so that a late repetition cannot undo a newer one. */
  #batch = 0
  #meanBytes = 0
  /** Whether the target takes large values in parts; then they come so, one part a batch. */
  #parts: boolean | undefined

  constructor(work: Work, gate: Gate, attempt: Attempt, seq: number) {
    this.#work = work
    this.#gate = gate
    this.#attempt = attempt
    this.#at = segmentAt(work, attempt.segment)
    this.#seq = seq
  }

  /** n of the protocol. */
  get seq(): number {
    return this.#seq
  }

  /** All that is there, page by page; the next page is read while one is written. */
  async everything(): Promise<void> {
    let page = await this.#page(undefined)
    for (;;) {
      const { next } = page
      const [following] = await Promise.all([
        next === undefined ? undefined : this.#page(next),
        this.put(page.entries.map((entry) => ({ key: entry.key, tag: entry.tag, entry }))),
      ])
      if (!following) return
      page = following
    }
  }

  /**
   * Brings the copy up to the source's last write, or gives up when the source runs away from it; the cutover asks
   * for the exact sequence number, so that giving up is harmless. Under a hold there is no pace to keep.
   */
  async catchUp({ unthrottled = false } = {}): Promise<void> {
    let patience = PATIENCE
    let cursor: string | undefined
    for (let pages = 1; ; ) {
      const { changes, seq, next } = await this.changesAfter(this.#seq, cursor)
      if (pages === 1) patience += Math.ceil((4 * (seq - this.#seq)) / this.batchSize)
      // In the order of seq: each batch leaves the copy as the source was at its last change, or later.
      await this.put(changes, { unthrottled })
      cursor = next
      // The last change is there when its last part is. A value that changes before that is begun again and again.
      if (next !== undefined) {
        if (changes.at(-1)?.entry?.part?.number === 0 && ++pages > patience) return
        continue
      }
      this.#seq = changes.at(-1)?.seq ?? seq
      if (this.#seq === seq || ++pages > patience) return
    }
  }

  /** The oldest changes at the source after `seq`. */
  async changesAfter(seq: number, cursor?: string): Promise<Extract<Changes, { ok: true }>> {
    const { from, ticket } = this.#attempt
    const parts = await this.#takesParts()
    const request = { ...this.#at, ticket, after: seq, limit: this.batchSize, cursor, parts }
    return this.#granted('changes', from, await this.#gate.ask(from, (store) => store.changes(request)))
  }

  /** Writes one batch at the target. */
  async put(changes: readonly Copied[], { unthrottled = false } = {}): Promise<void> {
    if (changes.length === 0) return
    const { segment, to, epoch, ticket } = this.#attempt
    const bytes = changes.reduce((sum, { entry }) => sum + (entry?.value?.byteLength ?? 0), 0)
    const values = changes.filter(({ entry }) => entry?.part?.last !== false).length
    if (!changes.at(-1)!.entry?.part) this.#meanBytes = (this.#meanBytes + bytes / changes.length) / 2
    if (!unthrottled) await this.#work.throttle.take(values, bytes, this.#gate.signal)
    const request = { ...this.#at, epoch, ticket, batch: ++this.#batch, changes }
    await this.#gate.step('ingest', segment, async () =>
      this.#granted('ingest', to, await this.#gate.ask(to, (store) => store.ingest(request))),
    )
    this.#work.board.copied(segment, values, bytes)
  }

  /** A page of digests, of one side. */
  digests(side: 'source' | 'target', cursor: string | undefined): Promise<Extract<Page, { ok: true }>> {
    return this.#scan(side, { want: 'digests', cursor, limit: DIGESTS_A_PAGE })
  }

  /** The digests of these keys, of one side; absent ones are left out. */
  async digestsOf(
    side: 'source' | 'target',
    keys: readonly Pick<Entry, 'key' | 'tag'>[],
  ): Promise<Map<string, Entry>> {
    const found = new Map<string, Entry>()
    for await (const { entries } of this.#pagesOf(side, 'digests', keys, DIGESTS_A_PAGE))
      for (const entry of entries) found.set(entry.key, entry)
    return found
  }

  /** Copies these keys again, as they are now at the source. */
  async again(keys: readonly Pick<Entry, 'key' | 'tag'>[]): Promise<void> {
    const size = this.batchSize
    for (let i = 0; i < keys.length; i += size) {
      const some = keys.slice(i, i + size)
      const absent = new Map(some.map(({ key, tag }) => [key, { key, tag }]))
      for await (const { entries } of this.#pagesOf('source', 'values', some, some.length)) {
        await this.put(entries.map((entry) => ({ key: entry.key, tag: entry.tag, entry })))
        for (const { key } of entries) absent.delete(key)
      }
      await this.put([...absent.values()])
    }
  }

  async *#pagesOf(
    side: 'source' | 'target',
    want: 'values' | 'digests',
    keys: readonly Pick<Entry, 'key' | 'tag'>[],
    size: number,
  ): AsyncGenerator<Extract<Page, { ok: true }>> {
    for (let i = 0; i < keys.length; i += size) {
      const some = keys.slice(i, i + size).map(({ key, tag }) => ({ key, tag }))
      let cursor: string | undefined
      do {
        const page = await this.#scan(side, { want, keys: some, cursor, limit: some.length })
        yield page
        cursor = page.next
      } while (cursor !== undefined)
    }
  }

  /** Asked once: what a store supports does not change. */
  async #takesParts(): Promise<boolean> {
    this.#parts ??= await this.#gate.ask(this.#attempt.to, async ({ supports }) => supports.parts === true)
    return this.#parts
  }

  #page(cursor: string | undefined) {
    const { batchKeys, batchBytes } = this.#work
    return this.#scan('source', { want: 'values', cursor, limit: batchKeys, maxBytes: batchBytes })
  }

  async #scan(
    side: 'source' | 'target',
    request: {
      want: 'values' | 'digests'
      keys?: readonly Pick<Entry, 'key' | 'tag'>[]
      cursor?: string
      limit: number
      maxBytes?: number
    },
  ): Promise<Extract<Page, { ok: true }>> {
    const shard = side === 'source' ? this.#attempt.from : this.#attempt.to
    const as = { role: side, ticket: this.#attempt.ticket }
    const parts = await this.#takesParts()
    const page = await this.#gate.ask(shard, (store) => store.scan({ ...this.#at, as, parts, ...request }))
    return this.#granted('scan', shard, page)
  }

  /** Keys in a batch that is not limited by bytes otherwise: few where values have been large. */
  get batchSize(): number {
    const { batchKeys, batchBytes } = this.#work
    return Math.max(1, Math.min(batchKeys, Math.floor(batchBytes / Math.max(1, this.#meanBytes))))
  }

  #granted<T extends { ok: boolean }>(step: string, shard: ShardId, answer: T): Extract<T, { ok: true }> {
    if (answer.ok) return answer as Extract<T, { ok: true }>
    const { record } = answer as unknown as Extract<Page, { ok: false }>
    throw new Refusal(step, this.#attempt.segment, shard, record)
  }
}

const DIGESTS_A_PAGE = 1_000
