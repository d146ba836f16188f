import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock, seededRandom } from '../../src/clock'
import { type CoAccess, CoAccessGraph } from '../../src/predictor/co-access'
import { Pace } from '../../src/predictor/pace'
import { Planner } from '../../src/predictor/planner'
import { DEFAULT_OBJECTIVE } from '../../src/predictor/prediction'

/** Any placement, with tags in buckets, ties, capacities, shards that are closed, and a budget. */
function anything(seed: number) {
  const random = seededRandom(seed)
  const whole = (below: number) => Math.floor(below * random())
  const shards = 2 + whole(5)
  const buckets = 3 + whole(30)
  const tags = whole(12)
  const items = buckets + tags
  const columns = 1 + whole(6)
  const draining = Uint8Array.from({ length: shards }, () => (random() < 0.15 ? 1 : 0))
  draining[0] = 0
  const open = Uint8Array.from({ length: shards }, (_, s) => (draining[s] || random() < 0.2 ? 0 : 1))
  const parent = Int32Array.from({ length: items }, (_, k) => (k < buckets ? -1 : whole(buckets)))
  const standing = Uint8Array.from({ length: items }, (_, k) => (k < buckets || random() < 0.4 ? 1 : 0))
  const shardOf = Int32Array.from({ length: items }, () => whole(random() < 0.5 ? 1 : shards))
  for (let k = buckets; k < items; k++) if (!standing[k]) shardOf[k] = shardOf[parent[k]!]!
  const ties = Array.from(
    { length: whole(20) },
    (): CoAccess => ({ items: Int32Array.of(whole(buckets), buckets + whole(tags)), weight: 1 + whole(9) }),
  ).filter(({ items: [a, b] }) => a !== b && b! < items)
  return {
    items,
    columns,
    stride: columns,
    offset: 0,
    loads: Float32Array.from({ length: items * columns }, () => (random() < 0.2 ? 0 : 100 * random() ** 3)),
    parent,
    standing,
    shardOf,
    weights: Array.from({ length: shards }, () => 1 + whole(3)),
    open,
    draining,
    fixed: Uint8Array.from({ length: items }, (_, k) => (k < buckets && random() < 0.1 ? 1 : 0)),
    bytes: Float64Array.from({ length: items }, () => whole(1_000)),
    graph: new CoAccessGraph(ties, 20, shardOf, shards),
    recurrence: random(),
    objective: DEFAULT_OBJECTIVE,
    noise: new Float64Array(columns).fill(0.05 * random()),
    tolerance: 0.02,
    maxMoves: random() < 0.3 ? Number.POSITIVE_INFINITY : whole(8),
    maxLoadShare: random() < 0.3 ? Number.POSITIVE_INFINITY : random() * 0.4,
    maxBytes: random() < 0.3 ? Number.POSITIVE_INFINITY : whole(4_000),
  }
}

test('no plan ever breaks a rule: budget, closed shards, what must stay', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), async (seed) => {
      const input = anything(seed)
      const planner = new Planner(input)
      const moves = await planner.plan(new Pace(new ManualClock()))
      const { layout } = planner
      expect(moves.length).toBeLessThanOrEqual(input.maxMoves)
      const moved = moves.filter(({ from, to }) => from !== to).flatMap(({ item }) => layout.companions(item))
      const share = moved.reduce((sum, item) => sum + layout.share[item]!, 0)
      expect(share).toBeLessThanOrEqual(input.maxLoadShare + 1e-9)
      expect(moved.reduce((sum, item) => sum + input.bytes[item]!, 0)).toBeLessThanOrEqual(input.maxBytes)
      for (const { item, from, to } of moves) {
        if (from !== to) expect(input.open[to]).toBe(1)
        expect(input.fixed[item]).toBe(0)
      }
      // What the map says and what the planner believes are the same placement.
      const named = new Map(moves.map(({ item, to }) => [item, to]))
      layout.assignment.forEach((shard, item) => {
        const own = named.get(item)
        const bucket = input.parent[item]!
        const inherited = input.standing[item] ? undefined : named.get(bucket)
        expect(shard).toBe(own ?? inherited ?? input.shardOf[item])
      })
    }),
    { numRuns: 300 },
  )
})
