import { seededRandom } from '../clock'
import type { Placement } from '../placement/assignment'
import { murmur3 } from '../placement/hash'
import { type SegmentId, tagOfSegment } from '../placement/segment'
import { Calibration } from './calibration'
import { cameTogether, itemsByHash } from './came-together'
import { chosen, untried } from './choice'
import { type DraftInput, draftPlans } from './draft'
import { DriftWatch } from './drift-watch'
import { type Hindsight, lookBack } from './hindsight'
import type { CheckedRequest, Settings } from './options'
import { Outcomes } from './outcomes'
import { seasonsOf } from './outlook'
import { Pace } from './pace'
import { pendingOf } from './pending'
import type { ShardAssignmentPrediction } from './prediction'
import { recommendation } from './recommendation'
import type { Recorder } from './recorder'
import { rehearse, type TiesAt } from './rehearsal'
import { Segmentation, type SegmentCluster } from './segmentation'
import { readTies } from './ties'
import { TrackRecord } from './track-record'
import { newest, readWorkload } from './workload'

/** Whole plans whose outcome must be known before past days are no longer rehearsed, */
const ENOUGH_OUTCOMES = 24
/** and how many of those a prediction rehearses: several where they are cheap. */
const REHEARSALS = 6
const CHEAP_CELLS = 3_000_000
/** A drift is noticed so many intervals after it began. */
const BEFORE_ALARM = 2

/** Turns what the recorder holds into a recommendation. */
export class Recommender {
  readonly perMove = new Calibration()
  readonly perMap = new Calibration()
  readonly record = new TrackRecord()
  readonly outcomes = new Outcomes()
  readonly drift = new DriftWatch()
  readonly segmentation = new Segmentation()
  seed: number
  predictions = 0
  /** Share of the seasonal forecast in the last outlook. */
  seasonal = 0
  /** Interval in which a shift of the whole was noticed last. */
  driftedAt = Number.NEGATIVE_INFINITY
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
      pending: this.outcomes.pending.length,
      forecasts: { ...this.drift.score },
      score: {
        ...this.outcomes.score,
        moves: { ...this.outcomes.score.moves },
        maps: { ...this.outcomes.score.maps },
      },
    }
  }

  /** What came since then, put on two placements. */
  hindsight(before: Placement, after: Placement, from: number, until: number): Promise<Hindsight> {
    const { objective, seed, clock } = this.#settings
    const hashOf = (tag: string) => murmur3(tag, seed)
    const pace = new Pace(clock)
    return lookBack({ recorder: this.#recorder, before, after, from, until, objective, hashOf, pace })
  }

  conclude(at: number, now: number): boolean {
    return this.outcomes.conclude(this.#recorder, at, now, this.#settings.objective, this)
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
    this.outcomes.settle(recorder, start, objective, this)
    const drift = this.drift.settle(recorder, start)
    // Single alarms are not enough: weekends and holidays set them off, and come back.
    if (drift?.shifted) this.driftedAt = start

    await pace.rest()
    const settled = placement.with(request.inFlight)
    const shards = settled.shards
    const indexOf = new Map(shards.map((shard, index) => [shard, index]))
    const all = await readWorkload(recorder, settled, start, request.rates, pace)
    // For a horizon after a drift, only what came since says what comes: history, record and forecast are of another regime.
    const since = start - this.driftedAt + BEFORE_ALARM
    const adrift = since < Math.min(request.horizon, all.intervals)
    const workload = adrift ? await newest(all, since, pace) : all
    const shardOf = Int32Array.from(workload.segments, (segment) => indexOf.get(settled.shardOf(segment))!)
    await pace.rest()
    const seasons = seasonsOf(intervalMs, workload.intervals)
    const tiesBefore = (now: number) =>
      readTies(recorder.transactions, workload, placement.buckets, hashOf, shardOf, shards.length, now, pace)
    const { graph, recurrence } = await tiesBefore(start)
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
      random,
    }
    const crossing = graph.crossing()
    const itemOf = itemsByHash(workload, placement.buckets, hashOf)
    await this.#rehearse(
      input,
      async (before, until) => {
        const { graph: known, recurrence } = await tiesBefore(before)
        const sample = recorder.transactions.sample()
        const came = cameTogether(sample, itemOf, shardOf, shards.length, before, until)
        return { known, recurrence, came }
      },
      pace,
    )
    const draft = await draftPlans(input, pace)
    this.seasonal = draft.outlook.seasonal
    await pace.rest()
    this.drift.expect(recorder, workload, draft.outlook, start)
    await pace.rest()
    const due = request.draining.size > 0
    const choice = adrift
      ? untried(draft.candidates)
      : chosen(draft.candidates, this.record, start, request.horizon, due)
    if (shards.length > 1) this.outcomes.add(pendingOf(recorder, input, draft, choice, start))
    await pace.rest()
    const { perMove, perMap, segmentation } = this
    return recommendation({
      placement: settled,
      request,
      settings: this.#settings,
      start,
      input,
      draft,
      choice,
      drift,
      crossing,
      perMove,
      perMap,
      segmentation,
    })
  }

  explain(segment: SegmentId): string | undefined {
    return this.segmentation.explain(segment)
  }

  clusters(segment?: SegmentId): SegmentCluster[] {
    return this.segmentation.clusters(segment)
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

  /** Learns from past days what its ways of planning are worth, as long as few of its plans have come true. */
  async #rehearse(input: DraftInput, tiesAt: TiesAt, pace: Pace): Promise<void> {
    const { workload, horizon, weights } = input
    const cells = workload.segments.length * workload.intervals
    const many = cells < CHEAP_CELLS ? REHEARSALS : 1
    if (weights.length < 2) return
    for (let k = 0; k < many && this.perMap.observations.length < ENOUGH_OUTCOMES; k++) {
      const back = this.rehearsed + 1
      // Half of the history at least is left to plan from.
      if (back * horizon > workload.intervals / 2) return
      this.rehearsed++
      const { trial, moves, plan } = await rehearse(input, back, this.record, tiesAt, pace)
      this.record.add(trial)
      for (const outcome of moves) this.perMove.observe(outcome)
      if (plan) this.perMap.observe(plan)
    }
  }
}
