import { quantile } from 'simple-statistics'
import type { ShardId } from '../placement/segment'
import { weigh } from '../predictor/objective'
import type { Objective } from '../predictor/prediction'
import type { EntryCounts } from './replay/sequencer'
import type { IntervalOutcome, PolicyTrack } from './replay/track'

export interface Distribution {
  readonly mean: number
  readonly p99: number
  readonly max: number
}

/** What a policy's placements would have cost over the whole log. */
export interface PolicyReport {
  readonly name: string
  /** The objective over the log: weights · (imbalance.mean, crossShard, loadMoved). Lower is better. */
  readonly J: number
  /** Over the intervals that saw accesses: max shard load / mean shard load. */
  readonly imbalance: Distribution
  /** The same with every interval counted by its load: what accesses meet, whatever quiet nights look like. */
  readonly imbalanceByLoad: Distribution
  /** Multi-key transactions that touched two shards or more, as a fraction of all multi-key ones; 0 without any. */
  readonly crossShard: number
  readonly moves: number
  readonly merges: number
  /** Share of all load that was on what had moved within the last horizon. Several moves of one thing add up. */
  readonly loadMoved: number
  readonly intervals: readonly IntervalOutcome[]
}

/** The imbalance that no placement of this log could be expected to get below. */
export interface NoiseFloor {
  /** Mean of what perfect knowledge of all rates still leaves, accesses coming by chance (Poisson). */
  readonly imbalance: number
  /** Mean of what the hottest tag of each interval makes unavoidable, as a tag lives on one shard. */
  readonly hottestTag: number
}

export interface SimulationReport {
  readonly shards: readonly ShardId[]
  readonly buckets: number
  readonly seed: number
  readonly intervalMs: number
  readonly horizonMs: number
  readonly everyMs: number
  readonly objective: Objective
  readonly entries: EntryCounts
  /** Start of the first interval and end of the last one, ms since the epoch; 0 for a log without a usable entry. */
  readonly from: number
  readonly to: number
  /** Accesses, writes weighted. */
  readonly load: number
  readonly noiseFloor: NoiseFloor
  /** By name, in the order in which they were asked for. */
  readonly policies: Readonly<Record<string, PolicyReport>>
  /** One sentence: whether prediction pays on this log. */
  readonly verdict: string
}

export function policyReport(name: string, track: PolicyTrack, objective: Objective): PolicyReport {
  const intervals = track.outcomes
  const sum = (of: (outcome: IntervalOutcome) => number) => intervals.reduce((all, it) => all + of(it), 0)
  const load = sum((it) => it.load)
  const transactions = sum((it) => it.transactions)
  const imbalance = distribution(intervals.map((it) => it.imbalance))
  const crossShard = transactions > 0 ? sum((it) => it.crossing) / transactions : 0
  const loadMoved = load > 0 ? sum((it) => it.loadMoved * it.load) / load : 0
  return {
    name,
    J: weigh(objective, imbalance.mean, crossShard, loadMoved),
    imbalance,
    imbalanceByLoad: byLoad(intervals),
    crossShard,
    moves: sum((it) => it.moves),
    merges: sum((it) => it.merges),
    loadMoved,
    intervals,
  }
}

export function meanFloor(floors: readonly { noise: number; hottestTag: number }[]): NoiseFloor {
  if (floors.length === 0) return { imbalance: 1, hottestTag: 1 }
  const mean = (of: (floor: { noise: number; hottestTag: number }) => number) =>
    floors.reduce((sum, floor) => sum + of(floor), 0) / floors.length
  return { imbalance: mean((floor) => floor.noise), hottestTag: mean((floor) => floor.hottestTag) }
}

/** Quantiles as in R's type 2 (simple-statistics). Of nothing: an even placement. */
function distribution(values: readonly number[]): Distribution {
  if (values.length === 0) return { mean: 1, p99: 1, max: 1 }
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    p99: quantile(values as number[], 0.99),
    max: values.reduce((max, value) => Math.max(max, value), 0),
  }
}

/** Weighted quantile: the least value such that 99 % of the load met no higher one. */
function byLoad(intervals: readonly IntervalOutcome[]): Distribution {
  const total = intervals.reduce((sum, it) => sum + it.load, 0)
  if (total === 0) return { mean: 1, p99: 1, max: 1 }
  const sorted = [...intervals].sort((a, b) => a.imbalance - b.imbalance)
  const max = sorted[sorted.length - 1]!.imbalance
  let mean = 0
  let below = 0
  let p99 = max
  for (const { load, imbalance } of sorted) {
    mean += (load * imbalance) / total
    if (below < 0.99 * total && below + load >= 0.99 * total) p99 = imbalance
    below += load
  }
  return { mean, p99, max }
}
