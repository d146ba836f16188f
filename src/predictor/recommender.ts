import { seededRandom } from '../clock'
import type { Placement } from '../placement/assignment'
import { murmur3 } from '../placement/hash'
import { isTagSegment, type SegmentId, tagOfSegment } from '../placement/segment'
import { Calibration } from './calibration'
import type { CoAccessGraph } from './co-access'
import { type Draft, type DraftInput, draftPlan, LEAST_PROBABILITY } from './draft'
import type { Drift } from './drift'
import { DriftWatch } from './drift-watch'
import { cooledTags, hotSegments } from './hot-segments'
import type { CheckedRequest, Settings } from './options'
import { Outcomes, type Pending } from './outcomes'
import { type Outlook, seasonsOf } from './outlook'
import { Pace } from './pace'
import type { ShardAssignmentPrediction } from './prediction'
import { reasonFor } from './reasons'
import type { Recorder } from './recorder'
import { rehearse } from './rehearsal'
import { Segmentation } from './segmentation'
import { readTies } from './ties'
import { triggersOf } from './triggers'
import { readWorkload } from './workload'

/** Whole plans whose outcome must be known before past days are no longer rehearsed, */
const ENOUGH_OUTCOMES = 24
/** and how many of those a prediction rehearses: several where they are cheap. */
const REHEARSALS = 6
const CHEAP_CELLS = 3_000_000

/** Turns what the recorder holds into a recommendation. */
export class Recommender {
  readonly perMove = new Calibration()
  readonly perMap = new Calibration()
  readonly outcomes = new Outcomes()
  readonly drift = new DriftWatch()
  readonly segmentation = new Segmentation()
  seed: number
  predictions = 0
  /** Share of the seasonal forecast in the last outlook. */
  seasonal = 0
  /** Past horizons that have been rehearsed, counted back from the first prediction. */
  rehearsed = 0
  readonly #settings: Settings
  readonly #recorder: Recorder

  constructor(settings: Settings, recorder: Recorder, seed: number) {
    this.#settings = settings
    this.#recorder = recorder
    this.seed = seed
  }

  get metrics() {
    return {
      predictions: this.predictions,
      outcomes: this.perMove.observations.length,
      seasonal: this.seasonal,
    }
  }

  async predict(placement: Placement, request: CheckedRequest): Promise<ShardAssignmentPrediction> {
    const recorder = this.#recorder
    const { objective, intervalMs, seed, tolerance } = this.#settings
    const pace = new Pace(this.#settings.clock)
    const start = recorder.series.intervalOf(request.now)
    const random = seededRandom((this.seed + this.predictions++) >>> 0)
    const hashOf = (tag: string) => murmur3(tag, seed)
    const carved = new Map([...placement.carvedTags].map((tag) => [tag, hashOf(tag)]))
    recorder.hot.pin(carved, recorder.series.newest)
    this.outcomes.settle(recorder, start, objective, this.perMove, this.perMap)
    const drift = this.drift.settle(recorder, start)

    const settled = placement.with(request.inFlight)
    const shards = settled.shards
    const indexOf = new Map(shards.map((shard, index) => [shard, index]))
    const workload = await readWorkload(recorder, settled, start, request.rates, pace)
    const shardOf = Int32Array.from(workload.segments, (segment) => indexOf.get(settled.shardOf(segment))!)
    await pace.rest()
    const seasons = seasonsOf(intervalMs, workload.intervals)
    const { transactions } = recorder
    const ties = await readTies(
      transactions,
      workload,
      placement.buckets,
      hashOf,
      shardOf,
      shards.length,
      start,
      pace,
    )
    const { graph, recurrence } = ties
    const degreeOf = (item: number) => (graph.total > 0 ? graph.degree(item) / graph.total : 0)
    await this.segmentation.refit(workload, seasons, degreeOf, this.seed, pace)
    const closed = (shard: string) => request.forbidden.has(shard) || request.draining.has(shard)
    const input: DraftInput = {
      workload,
      seasons,
      profilesOf: (period) => this.segmentation.profiles(workload, period, pace),
      horizon: request.horizon,
      shardOf,
      weights: shards.map((shard) => settled.weightOf(shard)),
      graph,
      recurrence,
      objective,
      limits: {
        open: Uint8Array.from(shards, (shard) => (closed(shard) ? 0 : 1)),
        draining: Uint8Array.from(shards, (shard) => (request.draining.has(shard) ? 1 : 0)),
        fixed: Uint8Array.from(workload.segments, (segment) => (request.inFlight.has(segment) ? 1 : 0)),
        tolerance,
        maxMoves: request.maxMoves,
        maxLoadShare: request.maxLoadShare,
        maxBytes: request.maxBytes,
      },
      probabilityOf: (raw) => this.perMove.of(raw),
      planProbabilityOf: (raw) => this.perMap.of(raw),
      random,
    }
    await this.#rehearse(input, pace)
    const crossing = graph.crossing()
    const draft = await draftPlan(input, pace)
    this.seasonal = draft.outlook.seasonal
    this.drift.expect(recorder, workload, draft.outlook, start)
    await pace.rest()
    return this.#prediction({ placement: settled, request, start, input, draft, drift, graph, crossing })
  }

  explain(segment: SegmentId): string | undefined {
    return this.segmentation.explain(segment)
  }

  /** The loads of a segment by interval, oldest first. */
  seriesOf(segment: SegmentId, now: number | undefined): Float64Array | undefined {
    const { series, hot, slotOf } = this.#recorder
    const tag = tagOfSegment(segment)
    const slot = tag === undefined ? slotOf[Number(segment.slice(1))] : hot.find(tag)?.slot
    if (slot === undefined || slot < 0) return undefined
    const end = now === undefined ? series.newest + 1 : series.intervalOf(now)
    const rows = series.rows(series.oldest, end)
    return Float64Array.from(rows, (row) => row?.[slot] ?? 0)
  }

  /** Learns from past days what its recommendations are worth, as long as few have come true. */
  async #rehearse(input: DraftInput, pace: Pace): Promise<void> {
    const { workload, horizon, weights } = input
    const cells = workload.segments.length * workload.intervals
    const many = cells < CHEAP_CELLS ? REHEARSALS : 1
    if (weights.length < 2) return
    for (let k = 0; k < many && this.perMap.observations.length < ENOUGH_OUTCOMES; k++) {
      const back = this.rehearsed + 1
      // Half of the history at least is left to plan from.
      if (back * horizon > workload.intervals / 2 || workload.intervals - back * horizon < 3 * horizon) return
      this.rehearsed++
      const { moves, plan } = await rehearse(input, back, pace)
      for (const outcome of moves) this.perMove.observe(outcome)
      if (plan) this.perMap.observe(plan)
    }
  }

  #prediction(made: Made): ShardAssignmentPrediction {
    const { placement, request, start, input, draft, drift, graph, crossing } = made
    const { workload, shardOf, weights, horizon, recurrence } = input
    const { outlook, future, judgement } = draft
    const { intervalMs, objective, halfLifeMs } = this.#settings
    const shards = placement.shards
    if (draft.drafted.length > 0) this.outcomes.add(this.#pending(made))
    const probability = draft.moves.length > 0 ? this.perMap.of(judgement!.whole.probability) : 0
    const due = request.draining.size > 0
    const moves = due || probability >= LEAST_PROBABILITY ? draft.moves : []
    const confidence = moves.length > 0 ? probability : 0
    const final = shardOf.slice()
    for (const move of moves) for (const item of move.items) final[item] = move.to
    const before = relativeLoads(outlook, shardOf, weights)
    const after = relativeLoads(outlook, final, weights)
    const alone = itemPeaks(outlook, weights.length)
    const map = new Map<SegmentId, string>()
    const scores = new Map<SegmentId, number>()
    const reasons = new Map<SegmentId, string>()
    const row = (table: Float64Array, shard: number) => table.subarray(shard * horizon, (shard + 1) * horizon)
    moves.forEach((move, k) => {
      const segment = workload.segments[move.item]!
      const score = this.perMove.of(move.raw)
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
          start: start * intervalMs,
          intervalMs,
          gain: judgement!.last[k]!.gain,
          uncrossed: move.uncrossed,
          probability: score,
          carved: workload.standing[move.item] === 0,
          alone: peak > 1 ? peak : undefined,
          alike: this.segmentation.alike(segment),
          draining: request.draining.has(shards[move.from]!),
        }),
      )
    })
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
        peaks: shards.map((_, shard) => row(before.relative, shard).reduce((a, b) => Math.max(a, b), 0)),
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

  #pending({ input, draft, start }: Made): Pending {
    const { workload, shardOf, weights, horizon } = input
    const { slotOf, series, hot } = this.#recorder
    const slots = new Int16Array(series.slots).fill(-1)
    const tags: Pending['tags'][number][] = []
    workload.segments.forEach((segment, item) => {
      const tag = tagOfSegment(segment)
      const slot = slotOf[workload.bucketOf[item]!]!
      if (tag !== undefined) tags.push({ tag, hash: hot.find(tag)!.hash, shard: shardOf[item]! })
      else if (slot >= 0) slots[slot] = shardOf[item]!
    })
    const judged = new Set(draft.moves.length > 0 ? draft.moves : draft.drafted)
    return {
      start,
      horizon,
      weights,
      slots,
      tags,
      rawMap: draft.judgement!.whole.probability,
      moves: draft.drafted.map((move) => ({
        slot: isTagSegment(workload.segments[move.item]!) ? -1 : slotOf[workload.bucketOf[move.item]!]!,
        tag: tagOfSegment(workload.segments[move.item]!),
        from: move.from,
        to: move.to,
        raw: move.raw,
        fixedGain: move.fixedGain,
        judged: judged.has(move),
      })),
    }
  }
}

interface Made {
  readonly placement: Placement
  readonly request: CheckedRequest
  readonly start: number
  readonly input: DraftInput
  readonly draft: Draft
  readonly drift: Drift | undefined
  readonly graph: CoAccessGraph
  /** Share of the multi-key transactions that cross as things are. */
  readonly crossing: number
}

/** Forecast load of each shard by step, and the same relative to its fair share. */
function relativeLoads({ mean, horizon }: Outlook, shardOf: Int32Array, weights: readonly number[]) {
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
