import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectionOf } from '../../../src/backends/redis/client'
import type { Reply } from '../../../src/backends/redis/connection'
import { nameOf, recordOf, segmentNamed } from '../../../src/backends/redis/fence-fields'
import { FENCES_LUA, STEP_LUA } from '../../../src/backends/redis/lua/step'
import { Script } from '../../../src/backends/redis/script'
import { type Random, seededRandom } from '../../../src/clock'
import {
  type BucketFences,
  type FenceCommand,
  type FenceRecord,
  type FenceStep,
  NO_FENCE,
} from '../../../src/placement/fence'
import { decide, FENCE_TABLE } from '../../../src/placement/fence-table'
import { isTagSegment, type SegmentId } from '../../../src/placement/segment'
import { RedisServer, redisIsMissing } from '../../servers/redis-server'

const HOME: SegmentId = '#7'
/** Names that would be found inside each other, if sets of them were compared carelessly. */
const TAGS: SegmentId[] = ['{x}', '{a","x}', '{"x"}', '{\\}', '{,}', '{caf\u00e9/\u0000\n}', '{}s}']
const SEGMENTS = [HOME, ...TAGS]
const STEPS = 14_000

class Model implements BucketFences {
  readonly bucketId = 7
  ticket = 0
  exporting: SegmentId | '' = ''
  readonly records = new Map<SegmentId, FenceRecord>()

  record(segment: SegmentId): FenceRecord {
    return this.records.get(segment) ?? NO_FENCE
  }

  tags(): SegmentId[] {
    return [...this.records.keys()].filter(isTagSegment)
  }

  /** As `decide` says; and which row it was. */
  step(segment: SegmentId, command: FenceCommand, now: number) {
    const decision = decide(this, segment, command, now)
    if (!decision.ok) return undefined
    for (const [at, record] of decision.change.records) this.records.set(at, record)
    this.ticket = decision.change.ticket ?? this.ticket
    this.exporting = decision.change.exporting ?? this.exporting
    return decision
  }
}

describe.skipIf(redisIsMissing)('the fence table in Lua', () => {
  let server: RedisServer
  let client: Redis
  beforeAll(async () => {
    server = await RedisServer.start()
    client = new Redis(server.port)
  })
  afterAll(async () => {
    client.disconnect()
    await server.stop()
  })

  it('answers as the table does, row for row, and leaves the same records and logs', async () => {
    const connection = connectionOf(client)
    await connection.whenReady(AbortSignal.timeout(5000))
    const [step, fences] = [new Script(STEP_LUA), new Script(FENCES_LUA)]
    const random = seededRandom(7)
    const taken = new Set<string>()
    let model = new Model()
    let bucket = 'b:7'
    for (let i = 0; i < STEPS; i++) {
      if (i % 200 === 0) {
        model = new Model()
        bucket = `${i}:b:7`
      }
      const segment = random() < 0.45 ? HOME : TAGS[Math.floor(random() ** 2 * TAGS.length)]!
      const command = likely(model, segment, random)
      const now = 1_000_000 + i
      // A log of each segment, to see which ones are emptied.
      const logs = SEGMENTS.map((at) => `${bucket}:l${nameOf(at)}`)
      await client.mset(logs.flatMap((log) => [log, '1']))
      const decision = model.step(segment, command, now)
      if (decision) taken.add(`${decision.row.step}: ${decision.row.guard}`)
      const args = [String(now), nameOf(segment), JSON.stringify(command)]
      const [ok, fields] = (await step.run(connection, [bucket], args)) as [Reply, Reply[]]
      const story = `${JSON.stringify(command)} on ${segment}, step ${i}`
      expect(ok !== null, story).toBe(decision !== undefined)
      expect(recordOf(fields), story).toEqual(model.record(segment))
      const cleared = new Set(decision?.change.clearLogs ?? [])
      const left = await client.mget(logs)
      expect(left, `logs after ${story}`).toEqual(SEGMENTS.map((at) => (cleared.has(at) ? null : '1')))
      if (i % 5 !== 4) continue
      const [[ticket, list]] = (await fences.run(connection, [bucket], ['*'])) as [[Reply, Reply[]]]
      const found = new Map<SegmentId, FenceRecord>()
      for (let j = 0; j < list.length; j += 4)
        found.set(segmentNamed(String(list[j]), 7), recordOf(list.slice(j + 1, j + 4)))
      expect(found, story).toEqual(model.records)
      expect(Number(ticket)).toBe(model.ticket)
      const { exporting } = model
      expect((await client.hget(bucket, '*x')) ?? '').toBe(exporting === '' ? '' : nameOf(exporting))
    }
    const missed = FENCE_TABLE.map((row) => `${row.step}: ${row.guard}`).filter((row) => !taken.has(row))
    expect(missed).toEqual([])
  })
})

const STEP_NAMES = [...new Set(FENCE_TABLE.map((row) => row.step))]

/** Any step; its numbers mostly those that fit, sometimes ones beside them. */
function likely(model: Model, segment: SegmentId, random: Random): FenceCommand {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
  const near = (fits: number) => (random() < 0.8 ? fits : Math.max(0, fits + pick([-2, -1, 1, 2])))
  const record = model.record(segment)
  const home = model.record(HOME)
  const next = random() < 0.8 ? model.ticket + 1 : near(model.ticket)
  // What has to follow something else before it is ended by a third is chosen more often.
  const follows: FenceStep | false =
    record.export !== 0
      ? 'cutover'
      : record.loading
        ? 'ingest'
        : record.state === 'moved' && pick(['prepare', 'prepare', 'restore'])
  const step = follows && random() < 0.4 ? follows : pick(STEP_NAMES)
  switch (step) {
    case 'found':
      return { step }
    case 'export':
      return { step, epoch: near(record.epoch), ticket: next, peer: pick(['b', 'c d', '', '1 2 3', 'n\n']) }
    case 'prepare': {
      const owned = TAGS.filter((tag) => model.record(tag).state === 'owned')
      const carved =
        segment === HOME ? owned.filter(() => random() < 0.9).map((tag) => tag.slice(1, -1)) : undefined
      const epoch = Math.max(0, near(record.state === 'importing' ? record.epoch - 1 : record.epoch))
      return { step, epoch, ticket: next, base: random() < 0.6 ? near(record.seq) : undefined, carved }
    }
    case 'sweep':
      return { step, ticket: near(record.ticket), empty: random() < 0.5 }
    case 'ingest':
      return {
        step,
        epoch: near(record.epoch - 1),
        ticket: record.ticket,
        batch: record.nextBatch + pick([0, 0, 0, -1, 1]),
      }
    case 'hold':
      return { step, epoch: near(record.epoch), ticket: near(record.export), durationMs: 300 }
    case 'cutover': {
      const epoch = record.state === 'moved' ? record.epoch - 1 : record.epoch
      return { step, epoch: near(epoch), ticket: near(record.ticket), seq: near(record.seq) }
    }
    case 'activate': {
      const seq = record.seq + pick([0, 3, 1e15])
      return { step, proof: { shard: 'a', epoch: near(record.epoch), ticket: record.ticket, seq } }
    }
    case 'abort':
      return { step, epoch: near(record.epoch), ticket: next }
    case 'discard':
      return { step, ticket: next }
    case 'untrace':
    case 'purge':
      return { step, epoch: near(record.epoch) }
    case 'split':
      return { step, epoch: near(record.state === 'owned' ? record.epoch - 1 : home.epoch), ticket: next }
    case 'merge':
      return { step, epoch: near(home.epoch), ticket: next }
    case 'restore': {
      const carved =
        segment === HOME ? TAGS.filter(() => random() < 0.7).map((tag) => tag.slice(1, -1)) : undefined
      const peer = pick(['', '', 'b', 'c d'])
      if (record.state === 'moved' && random() < 0.5)
        return { step, epoch: record.epoch, ticket: record.ticket, peer: 'b', seq: 0, intact: false, carved }
      const seq = record.seq + pick([0, 7])
      return {
        step,
        epoch: record.epoch + pick([0, 0, 1, 1, 2, -1]),
        ticket: next,
        peer,
        seq,
        intact: random() < 0.5,
        carved,
      }
    }
  }
}
