import { type Random, seededRandom } from '../clock'
import type { Placement } from '../placement/assignment'
import { murmur3 } from '../placement/hash'
import { isTagSegment, type SegmentId, tagOfSegment, tagSegment } from '../placement/segment'
import { Calibration } from './calibration'
import type { CoAccessGraph } from './co-access'
import { DriftWatch } from './drift-watch'
import { FutureLoads, type PlanJudgement, type Proposal } from './future-loads'
import type { CheckedRequest, Settings } from './options'
import { Outcomes, type Pending } from './outcomes'
import { lookAhead, type Outlook, seasonsOf } from './outlook'
import { Pace } from './pace'
import { Planner } from './planner'
import type { HotSegment, ShardAssignmentPrediction, Trigger } from './prediction'
import { reasonFor } from './reasons'
import type { Recorder } from './recorder'
import { Segmentation } from './segmentation'
import { readTies } from './ties'
import { readWorkload, type Workload } from './workload'

/** Moves that are more likely than not to do harm are dropped, and the rest judged again, so many times at most. */
const ROUNDS = 2
const LEAST_PROBABILITY = 0.5
/** Segments listed as hot. */
const HOT_SEGMENTS = 20
/** A carved tag is folded back when neither its past nor its forecast exceeds this share of a shard's fair share. */
const COOLED = 0.005
/** A segment above this share of a fair share is a hotspot. */
const HOTSPOT = 0.5

interface Plan {
  readonly moves: readonly PlanMove[]
  readonly judgement: PlanJudgement | undefined
}

interface PlanMove extends Proposal {
  readonly item: number
  readonly uncrossed: number
  readonly loadShare: number
}

/** Turns what the recorder holds into a recommendation: workload, outlook, plan, judgement. */
export class Recommender {
  readonly perMove = new Calibration()
  readonly perMap = new Calibration()
  readonly outcomes = new Outcomes()
  readonly drift: DriftWatch
  readonly segmentation: Segmentation
  seed: number
  predictions = 0
  readonly #settings: Settings
  readonly #recorder: Recorder
  seasonal = 0

  constructor(settings: Settings, recorder: Recorder, seed: number) {
    this.#settings = settings
    this.#recorder = recorder
    this.seed = seed
    this.drift = new DriftWatch()
    this.segmentation = new Segmentation()
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
    const { objective, intervalMs, seed } = this.#settings
    const pace = new Pace(this.#settings.clock)
    const start = recorder.series.intervalOf(request.now)
    const random = seededRandom((this.seed + this.predictions++) >>> 0)
    const hashOf = (tag: string) => murmur3(tag, seed)
    recorder.hot.pin(
      new Map([...placement.carvedTags].map((tag) => [tag, hashOf(tag)])),
      recorder.series.newest,
    )
    this.outcomes.settle(recorder, start, objective, this.perMove, this.perMap)
    const drifted = this.drift.settle(recorder, start)

    const settled = placement.with(request.inFlight)
    const shards = settled.shards
    const weights = shards.map((shard) => settled.weightOf(shard))
    const indexOf = new Map(shards.map((shard, index) => [shard, index]))
    const workload = await readWorkload(recorder, settled, start, request.rates, pace)
    const items = workload.segments.length
    const shardOf = Int32Array.from(workload.segments, (segment) => indexOf.get(settled.shardOf(segment))!)
    await pace.rest()
    const seasons = seasonsOf(intervalMs, workload.intervals)
    const ties = await readTies(
      recorder.transactions,
      workload,
      placement.buckets,
      hashOf,
      shardOf,
      shards.length,
      start,
      pace,
    )
    const degreeOf = (item: number) => (ties.graph.total > 0 ? ties.graph.degree(item) / ties.graph.total : 0)
    await this.segmentation.refit(workload, seasons, degreeOf, this.seed, pace)
    const outlook = await lookAhead(
      { ...workload, items },
      request.horizon,
      seasons,
      (period) => this.segmentation.profiles(workload, period, pace),
      pace,
    )
    this.seasonal = outlook.seasonal
    this.drift.expect(recorder, workload, outlook, start)
    const future = await FutureLoads.of(outlook, shardOf, weights, pace)
    const input = {
      items,
      horizon: request.horizon,
      loads: outlook.mean,
      parent: workload.parent,
      standing: workload.standing,
      shardOf,
      weights,
      open: Uint8Array.from(shards, (shard) =>
        request.forbidden.has(shard) || request.draining.has(shard) ? 0 : 1,
      ),
      draining: Uint8Array.from(shards, (shard) => (request.draining.has(shard) ? 1 : 0)),
      fixed: Uint8Array.from(workload.segments, (segment) => (request.inFlight.has(segment) ? 1 : 0)),
      bytes: workload.bytes,
      keys: workload.keys,
      graph: ties.graph,
      recurrence: ties.recurrence,
      objective,
      noise: future.noise(),
      tolerance: this.#settings.tolerance,
      maxMoves: request.maxMoves,
      maxLoadShare: request.maxLoadShare,
      maxBytes: request.maxBytes,
    }
    const crossingBefore = ties.graph.crossing()
    const planner = new Planner(input)
    await planner.plan(pace)
    const plan = await this.#judged(
      planner,
      future,
      ties.graph,
      ties.recurrence,
      shardOf,
      request,
      random,
      shards,
      pace,
    )
    await pace.rest()
    return this.#prediction({
      placement: settled,
      request,
      start,
      workload,
      outlook,
      plan,
      shardOf,
      weights,
      drifted,
      crossing: { before: crossingBefore, graph: ties.graph, recurrence: ties.recurrence },
      future,
    })
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

  explain(segment: SegmentId): string | undefined {
    return this.segmentation.explain(segment)
  }

  /** The plan's moves with what they are worth, those that would rather harm taken out. */
  async #judged(
    planner: Planner,
    future: FutureLoads,
    graph: CoAccessGraph,
    recurrence: number,
    shardOf: Int32Array,
    request: CheckedRequest,
    random: Random,
    shards: readonly string[],
    pace: Pace,
  ): Promise<Plan> {
    const { objective } = this.#settings
    let moves = planner.moves().map(({ item, from, to }): PlanMove => {
      const items = planner.companions(item)
      const loadShare = from === to ? 0 : planner.shareOf(item)
      // The graph has all moves in place: what this one is worth is what taking it back would cost.
      const back = graph.total > 0 ? -graph.uncrossed(items, from) / graph.total : 0
      const uncrossed = recurrence * back
      return {
        item,
        items,
        from,
        to,
        loadShare,
        uncrossed,
        fixedGain: objective.crossing * uncrossed - objective.churn * loadShare,
        deviation: objective.crossing * Math.sqrt(Math.abs(uncrossed) / Math.max(50, graph.total)),
      }
    })
    if (moves.length === 0) return { moves, judgement: undefined }
    let judgement = await future.judge(moves, objective, random, pace)
    for (let round = 0; round < ROUNDS; round++) {
      const { last } = judgement
      const harms = (k: number) => last[k]!.gain <= 0 || last[k]!.probability < LEAST_PROBABILITY
      const kept = moves.filter((move, k) => request.draining.has(shards[shardOf[move.item]!]!) || !harms(k))
      if (kept.length === moves.length) break
      if (kept.length === 0) return { moves: [], judgement: undefined }
      // One at a time they may seem useless where together they are not: then they stay.
      const without = await future.judge(kept, objective, random, pace)
      if (without.whole.gain < judgement.whole.gain) break
      moves = kept
      judgement = without
    }
    const due = request.draining.size > 0 || judgement.whole.gain > 0
    return due ? { moves, judgement } : { moves: [], judgement: undefined }
  }

  #prediction(made: Made): ShardAssignmentPrediction {
    const { placement, request, start, workload, outlook, plan, shardOf, weights } = made
    const { horizon } = request
    const { intervalMs, objective } = this.#settings
    const shards = placement.shards
    const map = new Map<SegmentId, string>()
    const scores = new Map<SegmentId, number>()
    const reasons = new Map<SegmentId, string>()
    const raw: number[] = []
    const { judgement } = plan
    const final = shardOf.slice()
    for (const move of plan.moves) for (const item of move.items) final[item] = move.to
    const before = relativeLoads(outlook, shardOf, weights)
    const after = relativeLoads(outlook, final, weights)
    const single = segmentPeaks(outlook, weights)
    plan.moves.forEach((move, k) => {
      const segment = workload.segments[move.item]!
      const score = (judgement!.alone[k]!.probability + judgement!.last[k]!.probability) / 2
      raw.push(score)
      const probability = this.perMove.of(score)
      map.set(segment, shards[move.to]!)
      scores.set(segment, probability)
      const row = (table: Float64Array, shard: number) =>
        table.subarray(shard * horizon, (shard + 1) * horizon)
      const part = new Float64Array(horizon)
      const fromLoad = row(before.absolute, move.from)
      for (const item of move.items)
        for (let h = 0; h < horizon; h++)
          if (fromLoad[h]! > 0) part[h]! += outlook.mean[item * horizon + h]! / fromLoad[h]!
      const peak = move.items.reduce((sum, item) => sum + single[item]!, 0)
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
          probability,
          carved: workload.standing[move.item] === 0,
          alone: peak > 1 ? peak : undefined,
          alike: this.segmentation.alike(segment),
          draining: request.draining.has(shards[move.from]!),
        }),
      )
    })
    const rawMap = judgement?.whole.probability ?? 0
    const confidence = map.size > 0 ? this.perMap.of(rawMap) : 0
    if (map.size > 0) this.outcomes.add(this.#pending(made, raw, rawMap))
    const imbalance = made.future.imbalance(plan.moves)
    const loadMoved = plan.moves.reduce((sum, move) => sum + move.loadShare, 0)
    const moving = plan.moves.filter((move) => move.from !== move.to).flatMap((move) => move.items)
    const crossingAfter =
      made.crossing.before -
      made.crossing.recurrence * (made.crossing.before - made.crossing.graph.crossing(final))
    return {
      shardAssignmentMap: map,
      merges: this.#merges(workload, outlook, placement, map),
      confidenceScores: scores,
      confidence,
      triggers: this.#triggers(made, before.relative, single, confidence),
      hotSegments: hotSegments(this.#settings.halfLifeMs, intervalMs, made),
      expected: {
        imbalance,
        crossShard: { before: made.crossing.before, after: crossingAfter },
        bytesMoved: moving.reduce((sum, item) => sum + workload.bytes[item]!, 0),
        keysMoved: moving.reduce((sum, item) => sum + workload.keys[item]!, 0),
        loadMoved,
        netGain:
          objective.imbalance * (imbalance.before - imbalance.after) +
          objective.crossing * (made.crossing.before - crossingAfter) -
          objective.churn * loadMoved,
      },
      reasons,
    }
  }

  #pending(
    { workload, plan, shardOf, weights, request, start }: Made,
    raw: number[],
    rawMap: number,
  ): Pending {
    const { slotOf, series, hot } = this.#recorder
    const slots = new Int16Array(series.slots).fill(-1)
    const tags: Pending['tags'][number][] = []
    workload.segments.forEach((segment, item) => {
      const tag = tagOfSegment(segment)
      const slot = slotOf[workload.bucketOf[item]!]!
      if (tag === undefined) {
        if (slot >= 0) slots[slot] = shardOf[item]!
      } else tags.push({ tag, hash: hot.find(tag)!.hash, shard: shardOf[item]! })
    })
    return {
      start,
      horizon: request.horizon,
      weights,
      slots,
      tags,
      rawMap,
      moves: plan.moves.map((move, k) => ({
        slot: isTagSegment(workload.segments[move.item]!) ? -1 : slotOf[workload.bucketOf[move.item]!]!,
        tag: tagOfSegment(workload.segments[move.item]!),
        from: move.from,
        to: move.to,
        raw: raw[k]!,
        fixedGain: move.fixedGain,
      })),
    }
  }

  /** Carved tags that are no longer worth it. */
  #merges(
    workload: Workload,
    outlook: Outlook,
    placement: Placement,
    map: ReadonlyMap<SegmentId, string>,
  ): SegmentId[] {
    const { horizon } = outlook
    const itemOf = new Map(workload.segments.map((segment, item) => [segment, item]))
    const enough = Math.min(workload.intervals, 24)
    if (enough < 2) return []
    let ahead = 0
    let behind = 0
    for (let k = 0; k < outlook.mean.length; k++) ahead += outlook.mean[k]!
    const recent = (item: number) => {
      let sum = 0
      for (let t = workload.intervals - enough; t < workload.intervals; t++)
        sum += workload.loads[item * workload.intervals + t]!
      return sum
    }
    for (let item = 0; item < workload.segments.length; item++) behind += recent(item)
    const fair = 1 / placement.shards.length
    const merges: SegmentId[] = []
    for (const tag of placement.carvedTags) {
      const segment = tagSegment(tag)
      if (map.has(segment)) continue
      const item = itemOf.get(segment)
      if (item === undefined) continue
      let mean = 0
      for (let h = 0; h < horizon; h++) mean += outlook.mean[item * horizon + h]!
      if (mean <= COOLED * fair * ahead && recent(item) <= COOLED * fair * behind) merges.push(segment)
    }
    return merges
  }

  #triggers(
    { placement, request, workload, shardOf, drifted, plan }: Made,
    relative: Float64Array,
    single: Float64Array,
    confidence: number,
  ): Trigger[] {
    const triggers: Trigger[] = []
    const shards = placement.shards
    const { horizon } = request
    for (const shard of request.draining)
      triggers.push({
        kind: 'topology',
        statistic: shardOf.reduce((sum, at) => sum + (shards[at] === shard ? 1 : 0), 0),
        threshold: 0,
        shard,
        message: `${shard} is to be emptied`,
      })
    const used = new Set(shardOf)
    for (let index = 0; index < shards.length; index++)
      if (
        !used.has(index) &&
        workload.segments.length >= shards.length &&
        !request.draining.has(shards[index]!)
      )
        triggers.push({
          kind: 'topology',
          statistic: 0,
          threshold: 1,
          shard: shards[index]!,
          message: `${shards[index]} holds no segment that is in use`,
        })
    if (drifted)
      triggers.push({
        kind: 'drift',
        statistic: drifted.alarms,
        threshold: drifted.threshold,
        message: `${drifted.alarms} of ${drifted.segments} segments have left their forecasts; chance explains ${drifted.threshold.toFixed(1)}`,
      })
    for (let index = 0; index < shards.length; index++) {
      const row = relative.subarray(index * horizon, (index + 1) * horizon)
      const peak = row.reduce((max, value) => Math.max(max, value), 0)
      const threshold = 1 + Math.max(0.2, this.#settings.tolerance)
      if (peak > threshold)
        triggers.push({
          kind: 'hotspot',
          statistic: peak,
          threshold,
          shard: shards[index]!,
          message: `${shards[index]} is forecast to reach ${peak.toFixed(2)} of its share`,
        })
    }
    for (let item = 0; item < single.length; item++)
      if (single[item]! > HOTSPOT)
        triggers.push({
          kind: 'hotspot',
          statistic: single[item]!,
          threshold: HOTSPOT,
          shard: shards[shardOf[item]!]!,
          segment: workload.segments[item]!,
          message: `${workload.segments[item]!.slice(0, 80)} alone is forecast to reach ${single[item]!.toFixed(2)} of a shard's share`,
        })
    if (plan.moves.length > 0)
      triggers.push({
        kind: 'confidence',
        statistic: confidence,
        threshold: LEAST_PROBABILITY,
        message: `${plan.moves.length} moves lower J with probability ${confidence.toFixed(2)}`,
      })
    return triggers
  }
}

interface Made {
  readonly placement: Placement
  readonly request: CheckedRequest
  readonly start: number
  readonly workload: Workload
  readonly outlook: Outlook
  readonly plan: Plan
  readonly shardOf: Int32Array
  readonly weights: readonly number[]
  readonly drifted: { alarms: number; segments: number; threshold: number } | undefined
  readonly crossing: { before: number; graph: CoAccessGraph; recurrence: number }
  readonly future: FutureLoads
}

/** Forecast load of each shard by step, and the same relative to its fair share. */
function relativeLoads({ mean, horizon }: Outlook, shardOf: Int32Array, weights: readonly number[]) {
  const n = weights.length
  const absolute = new Float64Array(n * horizon)
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

/** Per item, its highest forecast load relative to the fair share of a mean shard; steps with little load do not count. */
function segmentPeaks({ mean, horizon }: Outlook, weights: readonly number[]): Float64Array {
  const n = weights.length
  const items = mean.length / horizon
  const totals = new Float64Array(horizon)
  for (let k = 0; k < mean.length; k++) totals[k % horizon]! += mean[k]!
  const usual = totals.reduce((sum, total) => sum + total, 0) / horizon
  const peaks = new Float64Array(items)
  for (let item = 0; item < items; item++)
    for (let h = 0; h < horizon; h++)
      if (totals[h]! >= 0.5 * usual && totals[h]! > 0)
        peaks[item] = Math.max(peaks[item]!, (mean[item * horizon + h]! * n) / totals[h]!)
  return peaks
}

function hotSegments(
  halfLifeMs: number,
  intervalMs: number,
  { workload, outlook, placement, shardOf, request }: Made,
): HotSegment[] {
  const { mean, horizon } = outlook
  const items = workload.segments.length
  const share = new Float64Array(items)
  let total = 0
  for (let item = 0; item < items; item++)
    for (let h = 0; h < horizon; h++) {
      share[item]! += mean[item * horizon + h]!
      total += mean[item * horizon + h]!
    }
  const order = Array.from({ length: items }, (_, item) => item)
    .filter((item) => share[item]! > 0)
    .sort((a, b) => share[b]! - share[a]! || a - b)
    .slice(0, HOT_SEGMENTS)
  return order.map((item) => {
    let score = 0
    for (let t = 0; t < workload.intervals; t++) {
      const age = request.now - (workload.first + t + 0.5) * intervalMs
      score += workload.loads[item * workload.intervals + t]! * 2 ** (-Math.max(0, age) / halfLifeMs)
    }
    return {
      segment: workload.segments[item]!,
      shard: placement.shards[shardOf[item]!]!,
      loadShare: share[item]! / total,
      accessScore: score,
    }
  })
}
