import { describe, expect, test } from 'vitest'
import { ManualClock, seededRandom } from '../../src/clock'
import { CoAccessGraph } from '../../src/predictor/co-access'
import type { PlannerInput } from '../../src/predictor/layout'
import { Pace } from '../../src/predictor/pace'
import { Planner } from '../../src/predictor/planner'
import { DEFAULT_OBJECTIVE } from '../../src/predictor/prediction'

const pace = () => new Pace(new ManualClock())

/** Items with the given loads, one array an item, on the given shards. */
function planner(loads: number[][], shardOf: number[], shards: number, over: Partial<PlannerInput> = {}) {
  const items = loads.length
  const horizon = loads[0]!.length
  const at = Int32Array.from(shardOf)
  return new Planner({
    items,
    columns: horizon,
    stride: horizon,
    offset: 0,
    loads: Float32Array.from(loads.flat()),
    parent: new Int32Array(items).fill(-1),
    standing: new Uint8Array(items).fill(1),
    shardOf: at,
    weights: new Array(shards).fill(1),
    open: new Uint8Array(shards).fill(1),
    draining: new Uint8Array(shards),
    fixed: new Uint8Array(items),
    bytes: new Float64Array(items).fill(100),
    graph: new CoAccessGraph([], 0, at, shards),
    recurrence: 1,
    objective: DEFAULT_OBJECTIVE,
    noise: new Float64Array(horizon).fill(0.02),
    tolerance: 0.02,
    maxMoves: Number.POSITIVE_INFINITY,
    maxLoadShare: Number.POSITIVE_INFINITY,
    maxBytes: Number.POSITIVE_INFINITY,
    ...over,
  })
}

function crowd(seed: number, items: number, horizon: number) {
  const random = seededRandom(seed)
  return Array.from({ length: items }, () => Array.from({ length: horizon }, () => 5 + 10 * random()))
}

describe('the planner', () => {
  test('evens out a shard that holds everything', async () => {
    const made = planner(crowd(1, 40, 4), new Array(40).fill(0), 4)
    await made.plan(pace())
    expect(made.layout.table.peak()).toBeLessThan(1.06)
  })

  test('asks for a rest within a step, not only between two', async () => {
    let asked = 0
    const clock = new ManualClock()
    const now = clock.now.bind(clock)
    clock.now = () => {
      asked++
      return now()
    }
    const made = planner(crowd(4, 60, 4), new Array(60).fill(0), 4, { maxLoadShare: 0 })
    expect(await made.plan(new Pace(clock))).toEqual([])
    expect(asked).toBeGreaterThan(8)
  })

  test('moves nothing where all is even', async () => {
    const loads = Array.from({ length: 16 }, () => [10, 10])
    const shardOf = loads.map((_, k) => k % 4)
    expect(await planner(loads, shardOf, 4).plan(pace())).toEqual([])
  })

  test('puts segments that peak at different hours together', async () => {
    const day = [10, 0]
    const night = [0, 10]
    const made = planner([day, day, night, night], [0, 0, 1, 1], 2)
    await made.plan(pace())
    const [a, b, c, d] = made.layout.assignment
    expect(a).not.toBe(b)
    expect(c).not.toBe(d)
    expect(made.layout.table.peak()).toBeCloseTo(1)
  })

  test('does not pay more for a move than it brings', async () => {
    const loads = [[100], [100], [104], [100]]
    const moves = await planner(loads, [0, 0, 1, 1], 2, {
      objective: { ...DEFAULT_OBJECTIVE, churn: 100 },
    }).plan(pace())
    expect(moves).toEqual([])
  })

  test('keeps to its budget of moves, load and bytes', async () => {
    const loads = crowd(2, 40, 3)
    const shardOf = new Array(40).fill(0)
    expect(await planner(loads, shardOf, 4, { maxMoves: 3 }).plan(pace())).toHaveLength(3)
    expect(await planner(loads, shardOf, 4, { maxBytes: 250 }).plan(pace())).toHaveLength(2)
    const made = planner(loads, shardOf, 4, { maxLoadShare: 0.1 })
    const moved = (await made.plan(pace())).reduce((sum, { item }) => sum + made.layout.shareOf(item), 0)
    expect(moved).toBeLessThanOrEqual(0.1)
    expect(moved).toBeGreaterThan(0.05)
    expect(await planner(loads, shardOf, 4, { maxMoves: 0 }).plan(pace())).toEqual([])
  })

  test('gives nothing to a shard that is closed, and leaves fixed items alone', async () => {
    const made = planner(crowd(3, 30, 3), new Array(30).fill(0), 3, {
      open: Uint8Array.of(1, 1, 0),
      fixed: Uint8Array.from({ length: 30 }, (_, k) => (k < 5 ? 1 : 0)),
    })
    const moves = await made.plan(pace())
    expect(moves.length).toBeGreaterThan(0)
    expect(moves.every(({ item, to }) => to === 1 && item >= 5)).toBe(true)
  })

  test('empties a shard that is drained, the idle segments too', async () => {
    const loads = [...crowd(4, 12, 3), [0, 0, 0]]
    const made = planner(loads, loads.map((_, k) => k % 3).with(12, 2), 3, {
      open: Uint8Array.of(1, 1, 0),
      draining: Uint8Array.of(0, 0, 1),
    })
    await made.plan(pace())
    expect([...made.layout.assignment]).not.toContain(2)
  })

  test('gives a shard of three times the capacity three times the load', async () => {
    const made = planner(crowd(5, 80, 2), new Array(80).fill(0), 2, { weights: [1, 3] })
    await made.plan(pace())
    const onSecond = [...made.layout.assignment].filter((shard) => shard === 1).length
    expect(onSecond / 80).toBeGreaterThan(0.68)
    expect(onSecond / 80).toBeLessThan(0.8)
  })

  test('carves a hot tag out of its bucket, and leaves the rest of the bucket where it is', async () => {
    // Item 4 lives in bucket 0; both carry half of shard 0.
    const loads = [[50], [10], [10], [10], [60]]
    const made = planner(loads, [0, 0, 1, 1, 0], 2, {
      parent: Int32Array.of(-1, -1, -1, -1, 0),
      standing: Uint8Array.of(1, 1, 1, 1, 0),
    })
    const moves = await made.plan(pace())
    expect(made.layout.table.peak()).toBeLessThan(1.1)
    expect(made.layout.assignment[4]).not.toBe(made.layout.assignment[0])
    expect(moves.some(({ item }) => item === 4 || item === 0)).toBe(true)
  })

  test('a tag that is not carved out goes where its bucket goes', async () => {
    const loads = [[20], [20], [20], [1], [0]]
    const made = planner(loads, [0, 0, 0, 0, 1], 2, {
      parent: Int32Array.of(-1, -1, -1, 0, -1),
      standing: Uint8Array.of(1, 1, 1, 0, 1),
      fixed: Uint8Array.of(0, 1, 1, 0, 1),
      maxMoves: 1,
    })
    const moves = await made.plan(pace())
    expect(moves).toEqual([{ item: 0, from: 0, to: 1 }])
    expect(made.layout.assignment[3]).toBe(1)
    expect(made.layout.companions(0)).toEqual([0, 3])
  })

  test('brings together what is accessed together, where load allows', async () => {
    const loads = Array.from({ length: 8 }, () => [10, 10])
    const shardOf = Int32Array.from({ length: 8 }, (_, k) => k % 2)
    const pairs = [0, 2, 4, 6].map((k) => ({ items: Int32Array.of(k, k + 1), weight: 10 }))
    const graph = new CoAccessGraph(pairs, 40, shardOf, 2)
    const made = planner(loads, [...shardOf], 2, { graph })
    await made.plan(pace())
    expect(graph.crossing(made.layout.assignment)).toBe(0)
    expect(made.layout.table.peak()).toBeLessThan(1.3)
  })

  test('ignores ties that are not expected to recur', async () => {
    const loads = Array.from({ length: 8 }, () => [10, 10])
    const shardOf = Int32Array.from({ length: 8 }, (_, k) => k % 2)
    const pairs = [0, 2, 4, 6].map((k) => ({ items: Int32Array.of(k, k + 1), weight: 10 }))
    const graph = new CoAccessGraph(pairs, 40, shardOf, 2)
    expect(await planner(loads, [...shardOf], 2, { graph, recurrence: 0 }).plan(pace())).toEqual([])
  })

  test('finds the many small moves that no large one replaces', async () => {
    const random = seededRandom(6)
    const loads = Array.from({ length: 2_000 }, () => [random(), random(), random()])
    loads.push([60, 60, 60])
    const shardOf = loads.map((_, k) => (k === 2_000 ? 0 : k % 4))
    const made = planner(loads, shardOf, 4)
    await made.plan(pace())
    expect(made.layout.table.peak()).toBeLessThan(1.03)
  })
})
