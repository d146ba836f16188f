import assert from 'node:assert/strict'
import { type Random, seededRandom } from '../../clock'
import type { FenceCommand, FenceRecord, FenceStep } from '../../placement/fence'
import { FENCE_TABLE } from '../../placement/fence-table'
import { bucketSegment, type SegmentId } from '../../placement/segment'
import type { Operation } from '../../shard-store'
import { ModelShard } from './model-shard'
import type { Promised } from './promise'
import { BUCKET, bytes, type ShardUnderTest, text } from './shard-under-test'

const STEPS = 6_000
/** Steps after which the walk goes on in an empty bucket: first steps are rows too. */
const STEPS_IN_A_BUCKET = 150
const TAGS = ['x', 'y', 'z'] as const
const STEP_NAMES = [...new Set(FENCE_TABLE.map((row) => row.step))].filter((step) => step !== 'restore')
/** Rare, because everything begins anew after it. */
const RESTORES = 0.03

/**
 * A store and the model take the same steps, likely and unlikely ones, and must answer alike and hold the same fences,
 * entries and logs. Every row of the fence table is taken, or the walk itself has failed.
 */
export const randomWalk: Promised = {
  name: 'a long random walk takes every row of the fence table, and the store agrees with the model at each step',
  needs: (supports) => supports.versions !== 'sequence' && 'versions are derived from values',
  run: async (shard) => {
    const random = seededRandom(20_260)
    const taken = new Set<string>()
    for (let walked = 0, bucketId = BUCKET + 5; walked < STEPS; walked += STEPS_IN_A_BUCKET, bucketId++) {
      const walk = new Walk(shard, new ModelShard(bucketId), random)
      for (let i = 0; i < STEPS_IN_A_BUCKET; i++) await walk.step()
      for (const row of walk.model.taken) taken.add(row)
    }
    const missed = FENCE_TABLE.map((row) => `${row.step}: ${row.guard}`).filter((row) => !taken.has(row))
    assert.deepEqual(missed, [], 'rows that the walk never took')
  },
}

class Walk {
  readonly model: ModelShard
  readonly #shard: ShardUnderTest
  readonly #random: Random
  readonly #home: SegmentId

  constructor(shard: ShardUnderTest, model: ModelShard, random: Random) {
    this.#shard = shard
    this.model = model
    this.#random = random
    this.#home = bucketSegment(model.bucketId)
  }

  async step(): Promise<void> {
    const at = this.#random()
    if (at < 0.4) await this.#operate()
    else if (at < 0.93) await this.#command(this.#next())
    else if (at < 0.95) await this.#shard.clock.advance(1 + Math.floor(this.#random() * 400))
    else await this.#compare()
  }

  #next(): FenceStep {
    const roll = this.#random()
    const { loading, intact } = this.model.record(this.#home)
    if (roll < RESTORES) return 'restore'
    // What has to follow something else before it is ended by a third is chosen more often.
    if (roll < 0.2 && (loading || intact)) return loading ? 'ingest' : 'prepare'
    return this.#pick(STEP_NAMES)
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!
  }

  /** A key is in one bucket: some stores know it by its name alone. */
  #key(tag: string): string {
    return `${tag}${Math.floor(this.#random() * 4)} of ${this.model.bucketId}`
  }

  #segment(): SegmentId {
    return this.#random() < 0.5 ? this.#home : `{${this.#pick(TAGS)}}`
  }

  /** Mostly the number that fits, sometimes one beside it. */
  #near(fits: number): number {
    return this.#random() < 0.75 ? fits : Math.max(0, fits + this.#pick([-2, -1, 1, 2]))
  }

  async #operate(): Promise<void> {
    const tag = this.#pick(TAGS)
    const key = this.#key(tag)
    const own: SegmentId = `{${tag}}`
    const segment = this.model.record(own).state === 'owned' ? own : this.#home
    const now = this.#shard.clock.now()
    const epoch = this.#near(this.model.record(segment).epoch)
    const ifVersion = this.#random() < 0.3 ? this.#near(this.model.live(key, now)?.version ?? 0) : undefined
    const expiresAt =
      this.#shard.store.supports.ttl && this.#random() < 0.3 ? now + 1 + Math.floor(this.#random() * 500) : 0
    const operation: Operation = this.#pick([
      { kind: 'get' },
      { kind: 'has' },
      { kind: 'set', value: bytes(`${this.#random()}`), expiresAt, ifVersion },
      { kind: 'set', value: bytes(`${this.#random()}`), expiresAt, ifVersion },
      { kind: 'delete', ifVersion },
    ])
    const expected = this.model.operate(segment, epoch, key, tag, operation, now)
    const { bucketId } = this.model
    const [answer] = await this.#shard.store.execute([{ segment, bucketId, epoch, key, tag, operation }])
    assert.ok(answer)
    if (typeof expected === 'string') return assert.equal(answer.ok ? 'served' : answer.reason, expected)
    assert.ok(answer.ok, `refused, but the model serves: ${JSON.stringify(answer)}`)
    const { applied, version, seq } = answer
    assert.deepEqual({ applied, version, seq }, expected)
    if (operation.kind !== 'get') return
    const entry = this.model.live(key, now)
    assert.equal(answer.value && text(answer.value), entry?.value)
    assert.equal(answer.expiresAt ?? 0, entry?.expiresAt ?? 0)
  }

  async #command(step: FenceStep): Promise<void> {
    // Buckets are founded, tags are not.
    const segment = step === 'found' ? this.#home : this.#segment()
    const command = this.#likely(step, segment)
    const at = { segment, bucketId: this.model.bucketId }
    const now = this.#shard.clock.now()
    const before = this.model.record(segment)
    const { ok, changed, record } = this.model.step(segment, command, now)
    let answer: { ok: boolean; record: FenceRecord }
    if (command.step === 'found') {
      await this.#shard.store.found([this.model.bucketId])
      return this.#agree(at.segment)
    }
    if (command.step === 'sweep' || command.step === 'purge') {
      if (ok && !(command.step === 'sweep' && before.loading)) this.model.erase(segment)
      answer = await this.#shard.store.erase({ ...at, ...command, limit: 1000 })
    } else if (command.step === 'ingest') {
      const changes = this.#batch(segment)
      if (ok && changed)
        for (const { key, entry } of changes) {
          if (!entry) this.model.entries.delete(key)
          else {
            const { tag, version, expiresAt, value } = entry
            this.model.entries.set(key, { tag, version, expiresAt, value: text(value) })
          }
        }
      answer = await this.#shard.store.ingest({ ...at, ...command, changes })
    } else answer = await this.#shard.step(segment, command, at.bucketId)
    assert.equal(answer.ok, ok, `${JSON.stringify(command)} on ${segment}: the model says ${ok}`)
    assert.deepEqual(answer.record, record, `after ${JSON.stringify(command)} on ${segment}`)
    await this.#agree(segment, this.#home)
  }

  #likely(step: FenceStep, segment: SegmentId): FenceCommand {
    const record = this.model.record(segment)
    const home = this.model.record(this.#home)
    // Tickets begin at 1.
    const next = this.#random() < 0.75 ? this.model.ticket + 1 : Math.max(1, this.#near(this.model.ticket))
    const ticket = this.#near(record.ticket)
    switch (step) {
      case 'found':
        return { step }
      case 'export':
        return { step, epoch: this.#near(record.epoch), ticket: next, peer: this.#pick(['b', 'c']) }
      case 'prepare': {
        const carved =
          segment === this.#home
            ? TAGS.filter((tag) => this.model.record(`{${tag}}`).state === 'owned')
            : undefined
        const base = this.#random() < 0.6 ? this.#near(record.seq) : undefined
        const epoch = this.#near(record.state === 'importing' ? record.epoch - 1 : record.epoch)
        return { step, epoch: Math.max(0, epoch), ticket: next, base, carved }
      }
      case 'sweep':
        return { step, ticket, empty: true }
      case 'ingest':
        return {
          step,
          epoch: this.#near(record.epoch - 1),
          ticket,
          batch: this.#pick([record.nextBatch, record.nextBatch, record.nextBatch - 1, record.nextBatch + 1]),
        }
      case 'hold':
        return { step, epoch: this.#near(record.epoch), ticket: record.export, durationMs: 300 }
      case 'cutover': {
        const epoch = record.state === 'moved' ? record.epoch - 1 : record.epoch
        return { step, epoch: this.#near(epoch), ticket, seq: this.#near(record.seq) }
      }
      case 'activate':
        return { step, proof: { shard: 'a', epoch: this.#near(record.epoch), ticket, seq: record.seq + 3 } }
      case 'abort':
        return { step, epoch: this.#near(record.epoch), ticket: next }
      case 'discard':
        return { step, ticket: next }
      case 'untrace':
      case 'purge':
        return { step, epoch: this.#near(record.epoch) }
      case 'split':
        return {
          step,
          epoch: this.#near(record.state === 'owned' ? record.epoch - 1 : home.epoch),
          ticket: next,
        }
      case 'merge':
        return { step, epoch: this.#near(home.epoch), ticket: next }
      case 'restore': {
        const carved = segment === this.#home ? TAGS.filter(() => this.#random() < 0.7) : undefined
        const epoch = record.epoch + this.#pick([0, 1, 1, 2])
        const seq = record.seq + this.#pick([0, 7])
        const intact = this.#random() < 0.5
        const again = record.state === 'moved' && this.#random() < 0.5
        if (again) return { step, epoch: record.epoch, ticket: next, peer: 'b', seq, intact, carved }
        return { step, epoch, ticket: next, peer: this.#pick(['', '', 'b']), seq, intact, carved }
      }
    }
  }

  #batch(segment: SegmentId) {
    const { carved } = this.model.record(segment)
    const tags = TAGS.filter((tag) => (segment === this.#home ? !carved.has(tag) : segment === `{${tag}}`))
    return tags.map((tag, i) => {
      const key = this.#key(tag)
      const entry = { key, tag, version: 1 + i, expiresAt: 0, value: bytes(`copied ${this.#random()}`) }
      return this.#random() < 0.7 ? { key, tag, entry } : { key, tag }
    })
  }

  async #agree(...segments: SegmentId[]): Promise<void> {
    const { bucketId } = this.model
    const listings = await this.#shard.store.fences(segments.map((segment) => ({ segment, bucketId })))
    for (const { segment, record, bucketTicket } of listings) {
      assert.deepEqual(record, this.model.record(segment), `the record of ${segment}`)
      assert.equal(bucketTicket, this.model.ticket)
    }
  }

  /** Everything that can be seen of the bucket from outside. */
  async #compare(): Promise<void> {
    const { bucketId, records } = this.model
    const now = this.#shard.clock.now()
    await this.#agree(this.#home, ...TAGS.map((tag) => `{${tag}}` as const))
    for (const [segment, record] of records) {
      const as =
        record.state === 'owned'
          ? ({ role: 'owner', epoch: record.epoch } as const)
          : ({ role: 'target', ticket: record.ticket } as const)
      const page = await this.#shard.store.scan({ segment, bucketId, as, want: 'values', limit: 1000 })
      assert.equal(page.ok, record.state === 'owned' || record.state === 'importing')
      if (page.ok) {
        assert.deepEqual(page.entries.map((it) => it.key).sort(), this.model.keysOf(segment, now))
        for (const { key, tag, value, version, expiresAt } of page.entries)
          assert.deepEqual({ tag, value: text(value!), version, expiresAt }, this.model.entries.get(key))
      }
      if (record.export === 0) continue
      const answer = await this.#shard.store.changes({
        segment,
        bucketId,
        ticket: record.export,
        after: 0,
        limit: 1000,
      })
      assert.ok(answer.ok)
      assert.deepEqual(
        answer.changes.map((it) => [it.seq, it.key]),
        this.model.changesOf(segment),
      )
      for (const { key, entry } of answer.changes)
        assert.equal(entry && text(entry.value!), this.model.live(key, now)?.value)
    }
  }
}
