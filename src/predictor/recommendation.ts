import type { Placement } from '../placement/assignment'
import type { SegmentId } from '../placement/segment'
import type { Calibration } from './calibration'
import type { Candidate, DraftMove } from './candidate'
import { type Draft, type DraftInput, LEAST_PROBABILITY } from './draft'
import type { Drift } from './drift'
import { cooledTags, hotSegments } from './hot-segments'
import type { CheckedRequest, Settings } from './options'
import type { Outlook } from './outlook'
import type { ShardAssignmentPrediction } from './prediction'
import { reasonFor } from './reasons'
import type { Segmentation } from './segmentation'
import { triggersOf } from './triggers'

/** What a recommendation is made of. */
export interface Made {
  /** With the moves under way. */
  readonly placement: Placement
  readonly request: CheckedRequest
  readonly settings: Settings
  /** Interval in which the horizon begins. */
  readonly start: number
  readonly input: DraftInput
  readonly draft: Draft
  readonly choice: Candidate | undefined
  readonly drift: Drift | undefined
  /** Share of the multi-key transactions that cross as things are. */
  readonly crossing: number
  readonly perMove: Calibration
  readonly perMap: Calibration
  readonly segmentation: Segmentation
}

/** The prediction for whoever asked: the chosen plan in names, with its confidence and its reasons. */
export function recommendation(made: Made): ShardAssignmentPrediction {
  const { placement, request, settings, input, draft, choice, drift, crossing, perMap } = made
  const { workload, shardOf, weights, horizon, graph, recurrence } = input
  const { outlook, future } = draft
  const { intervalMs, objective, halfLifeMs } = settings
  const shards = placement.shards
  const probability = choice?.judgement ? perMap.of(choice.judgement.whole.probability) : 0
  const due = request.draining.size > 0
  const moves = due || probability >= LEAST_PROBABILITY ? (choice?.moves ?? []) : []
  const confidence = moves.length > 0 ? probability : 0
  const final = shardOf.slice()
  for (const move of moves) for (const item of move.items) final[item] = move.to
  const before = relativeLoads(outlook, shardOf, weights)
  const alone = itemPeaks(outlook, weights.length)
  const { map, scores, reasons } = named(made, moves, final, before, alone)
  const imbalance = future.imbalance(moves)
  const loadMoved = moves.reduce((sum, move) => sum + move.loadShare, 0)
  const moving = moves.filter((move) => move.from !== move.to).flatMap((move) => move.items)
  const crossingAfter =
    moves.length > 0 ? crossing - recurrence * (crossing - graph.crossing(final)) : crossing
  return {
    shardAssignmentMap: map,
    merges: cooledTags(workload, outlook, placement, map),
    confidenceScores: scores,
    confidence,
    triggers: triggersOf({
      shards,
      segments: workload.segments,
      shardOf,
      draining: request.draining,
      drift,
      peaks: shards.map((_, shard) =>
        before.relative.subarray(shard * horizon, (shard + 1) * horizon).reduce((a, b) => Math.max(a, b), 0),
      ),
      alone,
      moves: moves.length,
      confidence,
    }),
    hotSegments: hotSegments(workload, outlook, (item) => shards[shardOf[item]!]!, {
      now: request.now,
      intervalMs,
      halfLifeMs,
    }),
    expected: {
      imbalance,
      crossShard: { before: crossing, after: crossingAfter },
      bytesMoved: moving.reduce((sum, item) => sum + workload.bytes[item]!, 0),
      keysMoved: moving.reduce((sum, item) => sum + workload.keys[item]!, 0),
      loadMoved,
      netGain:
        objective.imbalance * (imbalance.before - imbalance.after) +
        objective.crossing * (crossing - crossingAfter) -
        objective.churn * loadMoved,
    },
    reasons,
  }
}

/** The moves by segment: where to, how likely each helps, and why. */
function named(
  { placement, request, settings, start, input, draft, choice, perMove, segmentation }: Made,
  moves: readonly DraftMove[],
  final: Int32Array,
  before: RelativeLoads,
  alone: Float64Array,
) {
  const { workload, weights, horizon } = input
  const { outlook } = draft
  const shards = placement.shards
  const after = relativeLoads(outlook, final, weights)
  const row = (table: Float64Array, shard: number) => table.subarray(shard * horizon, (shard + 1) * horizon)
  const map = new Map<SegmentId, string>()
  const scores = new Map<SegmentId, number>()
  const reasons = new Map<SegmentId, string>()
  moves.forEach((move, k) => {
    const segment = workload.segments[move.item]!
    const score = perMove.of(move.raw)
    const all = row(before.absolute, move.from)
    const part = new Float64Array(horizon)
    for (const item of move.items)
      for (let h = 0; h < horizon; h++)
        if (all[h]! > 0) part[h]! += outlook.mean[item * horizon + h]! / all[h]!
    const peak = move.items.reduce((sum, item) => sum + alone[item]!, 0)
    map.set(segment, shards[move.to]!)
    scores.set(segment, score)
    reasons.set(
      segment,
      reasonFor({
        segment,
        from: shards[move.from]!,
        to: shards[move.to]!,
        fromBefore: row(before.relative, move.from),
        fromAfter: row(after.relative, move.from),
        toAfter: row(after.relative, move.to),
        part,
        start: start * settings.intervalMs,
        intervalMs: settings.intervalMs,
        gain: choice!.judgement!.last[k]!.gain,
        uncrossed: move.uncrossed,
        probability: score,
        carved: workload.standing[move.item] === 0,
        alone: peak > 1 ? peak : undefined,
        alike: segmentation.alike(segment),
        draining: request.draining.has(shards[move.from]!),
      }),
    )
  })
  return { map, scores, reasons }
}

interface RelativeLoads {
  readonly absolute: Float64Array
  readonly relative: Float64Array
}

/** Forecast load of each shard by step, and the same relative to its fair share. */
function relativeLoads(
  { mean, horizon }: Outlook,
  shardOf: Int32Array,
  weights: readonly number[],
): RelativeLoads {
  const absolute = new Float64Array(weights.length * horizon)
  const totals = new Float64Array(horizon)
  for (let item = 0; item < shardOf.length; item++)
    for (let h = 0; h < horizon; h++) {
      absolute[shardOf[item]! * horizon + h]! += mean[item * horizon + h]!
      totals[h]! += mean[item * horizon + h]!
    }
  const capacity = weights.reduce((sum, weight) => sum + weight, 0)
  const relative = absolute.map((load, k) => {
    const total = totals[k % horizon]!
    const share = weights[Math.floor(k / horizon)]! / capacity
    return total > 0 ? load / total / share : 0
  })
  return { absolute, relative }
}

/** Per item, its highest forecast load relative to the share of a mean shard; steps with little load do not count. */
function itemPeaks({ mean, horizon }: Outlook, shards: number): Float64Array {
  const totals = new Float64Array(horizon)
  for (let k = 0; k < mean.length; k++) totals[k % horizon]! += mean[k]!
  const usual = totals.reduce((sum, total) => sum + total, 0) / horizon
  const peaks = new Float64Array(mean.length / horizon)
  for (let k = 0; k < mean.length; k++) {
    const total = totals[k % horizon]!
    const item = Math.floor(k / horizon)
    if (total > 0 && total >= 0.5 * usual) peaks[item] = Math.max(peaks[item]!, (mean[k]! * shards) / total)
  }
  return peaks
}
