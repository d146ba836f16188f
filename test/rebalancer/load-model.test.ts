import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Placement } from '../../src/placement/assignment'
import { evaluate } from '../../src/predictor/objective'
import { DEFAULT_OBJECTIVE } from '../../src/predictor/prediction'
import { LoadModel } from '../../src/rebalancer/policies/load-model'
import type { PastInterval } from '../../src/rebalancer/replay/interval'

const SHARDS = [
  { id: 'a', weight: 2 },
  { id: 'b', weight: 1 },
  { id: 'c', weight: 1 },
]
const TAGS = 9
const placement = Placement.initial({ shards: SHARDS, buckets: 6 })

/** Loads per interval and tag, and the transactions of every interval. */
const believed = fc.array(
  fc.record({
    loads: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: TAGS, maxLength: TAGS }),
    touched: fc.array(fc.uniqueArray(fc.nat(TAGS - 1), { minLength: 2, maxLength: 4 }), { maxLength: 5 }),
  }),
  { minLength: 1, maxLength: 4 },
)

function intervalOf(loads: number[], touched: number[][]): PastInterval {
  const ends: number[] = []
  for (const tags of touched) ends.push((ends[ends.length - 1] ?? 0) + tags.length)
  return {
    start: 0,
    load: loads.reduce((sum, load) => sum + load, 0),
    multiKey: touched.length,
    tags: () => loads.map((load, tag): [string, number] => [`t${tag}`, load]).values(),
    transactions: () => touched.map((tags) => tags.map((tag) => `t${tag}`)).values(),
    ids: Uint32Array.from(loads.keys()),
    loads: Float64Array.from(loads),
    ends: Uint32Array.from(ends),
    touched: Uint32Array.from(touched.flat()),
    nameOf: (id) => `t${id}`,
  }
}

/** J without churn, by definition, of tags on shards. */
function judge(intervals: readonly PastInterval[], shardOf: ReadonlyMap<string, string>): number {
  const transactions = intervals.flatMap((it) => [...it.transactions()])
  const crossing = transactions.filter((tags) => new Set(tags.map((tag) => shardOf.get(tag))).size > 1).length
  return evaluate({
    loads: intervals.map((interval) => {
      const shards = SHARDS.map(() => 0)
      for (const [tag, load] of interval.tags())
        shards[SHARDS.findIndex(({ id }) => id === shardOf.get(tag))]! += load
      return shards
    }),
    weights: SHARDS.map(({ weight }) => weight),
    transactions: { multiKey: transactions.length, crossing },
  }).j
}

describe('the load model of the movers', () => {
  it('foretells what J says of every move, one after the other, carved tags too', () => {
    fc.assert(
      fc.property(
        believed,
        fc.array(fc.record({ unit: fc.nat(50), carve: fc.boolean(), to: fc.nat(2) }), { maxLength: 6 }),
        (given, moves) => {
          const intervals = given.map(({ loads, touched }) => intervalOf(loads, touched))
          const model = new LoadModel(placement, intervals, intervals, DEFAULT_OBJECTIVE)
          const shardOf = new Map(
            Array.from({ length: TAGS }, (_, tag) => [`t${tag}`, placement.locate(`t${tag}`).shard]),
          )
          for (const { unit: pick, carve, to } of moves) {
            const whole = model.units[pick % model.units.length]!
            const [tag] = carve ? model.hottestTags(whole, 1) : []
            const unit = tag ?? whole
            if (unit.shard === to) continue
            const before = judge(intervals, shardOf)
            const share = model.total > 0 ? unit.load / model.total : 0
            const foretold = model.change(unit, to) - 0.25 * share
            if (tag) model.split(whole, tag)
            model.move(unit, to)
            for (const [name] of shardOf) {
              const bucket = placement.bucketOfTag(name)
              const moved = unit.segment === `{${name}}` || unit.segment === `#${bucket}`
              const inUnit = moved && unit.tags.some((id) => id === Number(name.slice(1)))
              if (inUnit) shardOf.set(name, SHARDS[to]!.id)
            }
            expect(judge(intervals, shardOf) - before).toBeCloseTo(foretold, 9)
            if (model.total > 0) {
              const imbalance = judge(
                intervals.map((it) =>
                  intervalOf(
                    [...it.tags()].map(([, load]) => load),
                    [],
                  ),
                ),
                shardOf,
              )
              expect(model.imbalance()).toBeCloseTo(imbalance, 9)
            }
          }
        },
      ),
      { seed: 11, numRuns: 300 },
    )
  })
})
