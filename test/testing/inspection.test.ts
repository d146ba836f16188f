import { beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { ManualClock, seededRandom } from '../../src/clock'
import type { FenceCommand } from '../../src/placement/fence'
import type { SegmentId } from '../../src/placement/segment'
import type { ShardStore } from '../../src/shard-store'
import { inspect } from '../../src/testing/inspection'
import type { TopologyStore } from '../../src/topology-store'

let a: ShardStore
let b: ShardStore
let topology: TopologyStore

const FOUNDING = {
  buckets: 2,
  seed: 0,
  shards: [
    { id: 'a', weight: 1 },
    { id: 'b', weight: 1 },
  ],
  owners: Int32Array.of(0, 1),
}
const at = (segment: SegmentId) => ({ segment, bucketId: segment === '#1' ? 1 : 0 })
const step = async (store: ShardStore, segment: SegmentId, command: FenceCommand) =>
  expect(await store.step(at(segment), command)).toMatchObject({ ok: true })
const put = async (store: ShardStore, segment: SegmentId, key: string, tag = key, epoch = 1) =>
  expect(
    await store.execute([
      { ...at(segment), epoch, key, tag, operation: { kind: 'set', value: Buffer.from('v'), expiresAt: 0 } },
    ]),
  ).toMatchObject([{ ok: true }])
const problems = async () =>
  (
    await inspect(
      new Map([
        ['a', a],
        ['b', b],
      ]),
      await topology.open(FOUNDING),
    )
  ).problems

beforeEach(async () => {
  const clock = new ManualClock(1_000)
  a = memoryStore({ clock, random: seededRandom(1) })
  b = memoryStore({ clock, random: seededRandom(2) })
  topology = memoryTopology({ clock, random: seededRandom(3) })
  const { id } = await topology.open(FOUNDING)
  await a.open({ topologyId: id, shard: 'a', buckets: 2, clock })
  await b.open({ topologyId: id, shard: 'b', buckets: 2, clock })
  await a.found([0])
  await b.found([1])
})

describe('an inspection', () => {
  it('finds nothing wrong with a deployment at rest, and lists what it serves', async () => {
    await put(a, '#0', 'k')
    await put(b, '#1', 'l')
    const { problems, entries } = await inspect(
      new Map([
        ['a', a],
        ['b', b],
      ]),
      await topology.open(FOUNDING),
    )
    expect(problems).toEqual([])
    expect([...entries].map(([key, { shard }]) => [key, shard])).toEqual([
      ['k', 'a'],
      ['l', 'b'],
    ])
  })

  it('finds an export and an import that nobody ended', async () => {
    await step(a, '#0', { step: 'export', epoch: 1, ticket: 1, peer: 'b' })
    await step(b, '#0', { step: 'prepare', epoch: 1, ticket: 1 })
    expect(await problems()).toEqual([
      '#0 is still exported by a under ticket 1',
      '#0 is still importing on b @ 2',
    ])
  })

  it('finds a move that the topology was not told of, its trace, and the copy that was left behind', async () => {
    await put(a, '#0', 'k')
    await step(a, '#0', { step: 'export', epoch: 1, ticket: 1, peer: 'b' })
    await step(b, '#0', { step: 'prepare', epoch: 1, ticket: 1 })
    await step(a, '#0', { step: 'cutover', epoch: 1, ticket: 1, seq: 1 })
    await step(b, '#0', { step: 'activate', proof: { shard: 'b', epoch: 2, ticket: 1, seq: 1 } })
    expect(await problems()).toEqual([
      'a holds 1 keys and serves 0: copies were left behind',
      '#0 is still traced on b',
      '#0 is owned by b @ 2, and the topology says a @ 1',
    ])
  })

  it('finds two owners, and nobody', async () => {
    await b.found([0])
    await put(a, '#0', 'k')
    await put(b, '#0', 'k')
    expect(await problems()).toContain('#0 is owned by a @ 1 and by b @ 1')
    expect(await problems()).toContain('k is served by a and by b')
    await step(a, '#0', { step: 'export', epoch: 1, ticket: 1, peer: 'c' })
    await step(a, '#0', { step: 'cutover', epoch: 1, ticket: 1, seq: 1 })
    await step(b, '#0', { step: 'export', epoch: 1, ticket: 1, peer: 'c' })
    await step(b, '#0', { step: 'cutover', epoch: 1, ticket: 1, seq: 1 })
    expect(await problems()).toContain('nobody owns bucket #0')
  })

  it('finds a carved tag that the topology does not know', async () => {
    await step(a, '{k}', { step: 'split', epoch: 1, ticket: 1 })
    expect(await problems()).toContain('{k} is owned by a, and the topology does not know it')
  })

  it('finds a plan and a grace period that have not ended', async () => {
    const plan = {
      id: 'p',
      moves: [],
      merges: [],
      confidence: 1,
      reason: '',
      startedAt: 0,
      retainMs: 0,
      verify: true,
      maxKeysPerSecond: 1,
      maxBytesPerSecond: 1,
      concurrency: 1,
      cancelled: false,
    }
    await topology.commit({ plan, retain: [{ segment: '#1', shard: 'a', epoch: 3, until: 9 }] })
    expect(await problems()).toEqual(['plan p has not ended', '#1 @ 3 is still retained on a'])
  })
})
