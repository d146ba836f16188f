import assert from 'node:assert/strict'
import { type Clock, systemClock } from '../../clock'
import type { FenceCommand, FenceRecord, Proof } from '../../placement/fence'
import { isTagSegment, type SegmentId } from '../../placement/segment'
import type {
  Answer,
  Call,
  Done,
  Entry,
  IngestRequest,
  Operation,
  ReadAs,
  Refusal,
  SegmentAt,
  ShardStore,
  StepAnswer,
} from '../../shard-store'

/** The bucket that most tests play in; its segment is '#3'. */
export const BUCKET = 3
export const BINDING = { topologyId: 'suite', shard: 'a', buckets: 64 }

export interface Named {
  segment?: SegmentId
  epoch?: number
  tag?: string
  proof?: Proof
}

/** A store and the few words that the tests use to speak to it. */
export class ShardUnderTest {
  store: ShardStore
  readonly clock: { now(): number; advance(ms: number): Promise<void> }

  constructor(store: ShardStore, clock: { now(): number; advance(ms: number): Promise<void> }) {
    this.store = store
    this.clock = clock
  }

  /** Opens it and founds bucket 3 here. */
  async open(): Promise<void> {
    await this.store.open({ ...BINDING, clock: this.bindingClock })
    await this.store.found([BUCKET])
  }

  get bindingClock(): Clock {
    return { ...systemClock, now: () => this.clock.now() }
  }

  at(segment: SegmentId = '#3'): SegmentAt {
    return { segment, bucketId: isTagSegment(segment) ? BUCKET : Number(segment.slice(1)) }
  }

  call(key: string, operation: Operation, { segment, epoch = 1, tag = key, proof }: Named = {}): Call {
    return { ...this.at(segment), epoch, key, tag, operation, proof }
  }

  async answer(key: string, operation: Operation, named?: Named): Promise<Answer> {
    const answers = await this.store.execute([this.call(key, operation, named)])
    assert.equal(answers.length, 1)
    return answers[0]!
  }

  async done(key: string, operation: Operation, named?: Named): Promise<Done> {
    const answer = await this.answer(key, operation, named)
    assert.ok(answer.ok, `refused: ${JSON.stringify(answer)}`)
    return answer
  }

  async refused(key: string, operation: Operation, named?: Named): Promise<Refusal> {
    const answer = await this.answer(key, operation, named)
    assert.ok(!answer.ok, `served: ${JSON.stringify(answer)}`)
    return answer
  }

  async set(key: string, value: string, options: Named & { expiresAt?: number; ifVersion?: number } = {}) {
    const { expiresAt = 0, ifVersion, ...named } = options
    return this.done(key, { kind: 'set', value: bytes(value), expiresAt, ifVersion }, named)
  }

  async delete(key: string, { ifVersion, ...named }: Named & { ifVersion?: number } = {}) {
    return this.done(key, { kind: 'delete', ifVersion }, named)
  }

  /** The value as text, undefined for an absent key. */
  async get(key: string, named?: Named): Promise<string | undefined> {
    const { value, applied } = await this.done(key, { kind: 'get' }, named)
    assert.equal(applied, value !== undefined)
    return value && text(value)
  }

  step(segment: SegmentId, command: FenceCommand, bucketId = this.at(segment).bucketId): Promise<StepAnswer> {
    return this.store.step({ segment, bucketId }, command)
  }

  /** The step is taken; answers the record after it. */
  async takes(segment: SegmentId, command: FenceCommand): Promise<FenceRecord> {
    const answer = await this.step(segment, command)
    assert.ok(answer.ok, `${command.step} was refused: ${JSON.stringify(answer.record)}`)
    return answer.record
  }

  /** The step is refused and changes nothing; answers the record that stands. */
  async refuses(segment: SegmentId, command: FenceCommand): Promise<FenceRecord> {
    const before = await this.store.fences()
    const answer = await this.step(segment, command)
    assert.ok(!answer.ok, `${command.step} was taken: ${JSON.stringify(answer.record)}`)
    assert.deepEqual(await this.store.fences(), before, `${command.step} was refused and changed something`)
    return answer.record
  }

  async record(segment: SegmentId = '#3'): Promise<FenceRecord> {
    const [listing] = await this.store.fences([this.at(segment)])
    return listing!.record
  }

  /** All pages of a segment. */
  async scan(as: ReadAs, options: { segment?: SegmentId; limit?: number; want?: 'values' | 'digests' } = {}) {
    const { segment, limit = 100, want = 'values' } = options
    const entries: Entry[] = []
    let cursor: string | undefined
    do {
      const page = await this.store.scan({ ...this.at(segment), as, want, limit, cursor })
      assert.ok(page.ok, `the scan was refused: ${JSON.stringify(page)}`)
      assert.ok(page.entries.length <= limit, 'a page is over its limit')
      entries.push(...page.entries)
      cursor = page.next
    } while (cursor !== undefined)
    return entries
  }

  /** Key and value of every entry, by key. */
  async contents(as: ReadAs = { role: 'owner', epoch: 1 }, segment?: SegmentId) {
    const entries = await this.scan(as, { segment })
    return Object.fromEntries(entries.map((it) => [it.key, text(it.value!)]))
  }

  async changes(
    ticket: number,
    after: number,
    { segment, limit = 100 }: { segment?: SegmentId; limit?: number } = {},
  ) {
    const answer = await this.store.changes({ ...this.at(segment), ticket, after, limit })
    assert.ok(answer.ok, `the changes were refused: ${JSON.stringify(answer)}`)
    return answer
  }

  /** Makes bucket 5 an import @ epoch 2 with this ticket, swept and ready for batch 1. */
  async importing(ticket: number, segment: SegmentId = '#5'): Promise<void> {
    await this.takes(segment, { step: 'prepare', epoch: 1, ticket })
    await this.sweep(segment, ticket)
  }

  async sweep(segment: SegmentId, ticket: number): Promise<number> {
    for (let deleted = 0; ; ) {
      const answer = await this.store.erase({ ...this.at(segment), step: 'sweep', ticket, limit: 100 })
      assert.ok(answer.ok, 'the sweep was refused')
      deleted += answer.deleted
      if (answer.done) return deleted
    }
  }

  async purge(segment: SegmentId, epoch: number): Promise<number> {
    for (let deleted = 0; ; ) {
      const answer = await this.store.erase({ ...this.at(segment), step: 'purge', epoch, limit: 100 })
      assert.ok(answer.ok, 'the purge was refused')
      deleted += answer.deleted
      if (answer.done) return deleted
    }
  }

  ingest(
    ticket: number,
    batch: number,
    changes: IngestRequest['changes'],
    segment: SegmentId = '#5',
  ): Promise<StepAnswer> {
    return this.store.ingest({ ...this.at(segment), epoch: 1, ticket, batch, changes })
  }
}

export function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

export function text(value: Uint8Array): string {
  return new TextDecoder().decode(value)
}

/** A change as it comes with a batch. */
export function arriving(
  key: string,
  value: string,
  more: { version?: number; expiresAt?: number; tag?: string } = {},
) {
  const { version = 1, expiresAt = 0, tag = key } = more
  return { key, tag, entry: { key, tag, version, expiresAt, value: bytes(value) } }
}
