import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../src/clock'
import { CoAccessGraph } from '../../src/predictor/co-access'
import type { PlannerInput } from '../../src/predictor/layout'
import { Mover } from '../../src/predictor/mover'
import { Pace } from '../../src/predictor/pace'
import { DEFAULT_OBJECTIVE } from '../../src/predictor/prediction'

/** What the mover does with items of these loads on these shards. */
function moves(loads: number[][], shardOf: number[], shards: number, over: Partial<PlannerInput> = {}) {
  const items = loads.length
  const columns = loads[0]!.length
  const at = Int32Array.from(shardOf)
  return new Mover({
    items,
    columns,
    stride: columns,
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
    noise: new Float64Array(columns).fill(0.5),
    tolerance: 0.02,
    maxMoves: Number.POSITIVE_INFINITY,
    maxLoadShare: Number.POSITIVE_INFINITY,
    maxBytes: Number.POSITIVE_INFINITY,
    ...over,
  }).plan(new Pace(new ManualClock()))
}

describe('the mover', () => {
  test('relieves the fullest shard of what lowers J most, however uncertain a forecast may be', async () => {
    const [move, ...more] = await moves([[50], [30], [20], [20]], [0, 0, 1, 2], 3)
    expect(move).toEqual({ item: 1, from: 0, to: 1 })
    expect(more).toEqual([])
  })

  test('leaves alone what is within a tenth of even', async () => {
    expect(await moves([[54], [1], [45], [5]], [0, 0, 1, 1], 2)).toEqual([])
  })

  test('moves nothing for a gain that is smaller than its price', async () => {
    const dear = { ...DEFAULT_OBJECTIVE, churn: 10 }
    expect(await moves([[50], [30], [20], [20]], [0, 0, 1, 2], 3, { objective: dear })).toEqual([])
  })

  test('keeps to the budget, to closed shards and to what must stay', async () => {
    const loads = Array.from({ length: 12 }, () => [10])
    const all = new Array(12).fill(0)
    expect(await moves(loads, all, 3, { maxMoves: 2 })).toHaveLength(2)
    const open = Uint8Array.of(1, 0, 1)
    expect((await moves(loads, all, 3, { open })).every(({ to }) => to === 2)).toBe(true)
    const fixed = new Uint8Array(12).fill(1)
    expect(await moves(loads, all, 3, { fixed })).toEqual([])
  })

  test('brings together what is accessed together, where that costs no balance', async () => {
    const shardOf = Int32Array.of(0, 1, 0, 1)
    const graph = new CoAccessGraph([{ items: Int32Array.of(0, 1), weight: 10 }], 20, shardOf, 2)
    const made = await moves([[1], [1], [100], [100]], [...shardOf], 2, { graph })
    expect(made).toHaveLength(1)
    expect([0, 1]).toContain(made[0]!.item)
  })
})
