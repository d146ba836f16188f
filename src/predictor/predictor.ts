import { predictChannel } from '../channels'
import { seededRandom } from '../clock'
import { ErrorCode, ForeshardError, invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import { Placement } from '../placement/assignment'
import { FoundingMap } from '../placement/founding-map'
import { checkSegment, type SegmentId } from '../placement/segment'
import type { AccessLogEntry } from '../tracking/access-log'
import type { ForecastScore } from './drift-watch'
import { type Forecast, forecast } from './forecast'
import { adviseFounding, replayed } from './founding'
import type { Hindsight } from './hindsight'
import { type IngestReport, ingest } from './ingest'
import type { LearnedSchema } from './learned-schema'
import { type LoadHistory, readLoadHistory } from './load-history'
import {
  checkOptions,
  checkRequest,
  type PredictorOptions,
  type PredictRequest,
  REQUEST_FIELDS,
  type Settings,
} from './options'
import type { Score } from './outcomes'
import { Pace } from './pace'
import type { ShardAssignmentPrediction } from './prediction'
import { Recommender } from './recommender'
import { Recorder } from './recorder'
import { learnSchema } from './schema-learner'
import type { SegmentCluster } from './segmentation'
import { type PredictorSnapshot, readSnapshot, writeSnapshot } from './snapshot'

export interface PredictorMetrics {
  readonly accepted: number
  readonly refused: ReadonlyMap<string, number>
  /** Rows of the series in use: buckets that were accessed, and hot tags. */
  readonly slots: number
  readonly hotTags: number
  readonly intervals: number
  readonly openTransactions: number
  readonly multiKeyTransactions: number
  readonly predictions: number
  /** Outcomes that the confidence is calibrated by. */
  readonly outcomes: number
  /** Share of the seasonal forecast in the last outlook; the rest is the recent level. */
  readonly seasonal: number
  /** When the newest interval with an access began, ms since the epoch; undefined before the first. */
  readonly newestAt: number | undefined
  /** Predictions whose horizon is not over. */
  readonly pending: number
  /** Estimated bytes of the series and of what is kept beside it. */
  readonly bytes: number
  /** How forecasts, recommendations and confidence came true, since this object was made. */
  readonly forecasts: ForecastScore
  readonly score: Score
}

export interface HindsightRequest {
  /** Two placements of the same shards. */
  before: Placement
  after: Placement
  /** ms since the epoch: intervals that began at `since` or later and ended by `now`, default the clock's. */
  since: number
  now?: number
}

export interface ForecastRequest {
  horizonMs?: number
  now?: number
  /** Share of the actual values that should lie between lower and upper. */
  level?: number
}

const HINDSIGHT_FIELDS: Fields<HindsightRequest> = { before: true, after: true, since: true, now: true }
const FORECAST_FIELDS: Fields<ForecastRequest> = { horizonMs: true, now: true, level: true }
const HISTORY_FIELDS: Fields<Pick<PredictRequest, 'placement' | 'now'>> = { placement: true, now: true }
const OWN_FIELDS: Fields<Pick<PredictorOptions, 'clock' | 'random'>> = { clock: true, random: true }

/**
 * Access log in, shard assignment recommendations out. No I/O: it cannot touch data. What it holds is bounded, whatever the number of
 * keys; see docs/placement.md.
 */
export class Predictor {
  #settings: Settings
  #recorder: Recorder
  #recommender: Recommender
  #initial: Placement | undefined

  constructor(options: PredictorOptions) {
    this.#settings = checkOptions(options)
    this.#recorder = new Recorder(this.#settings)
    // Drawn once: what is drawn later does not depend on who else draws.
    const seed = Math.floor(this.#settings.random() * 2 ** 32)
    this.#recommender = new Recommender(this.#settings, this.#recorder, seed)
  }

  /**
   * Counts one access; false if it came too late or lies in the future, which is counted, too.
   * @throws INVALID_ARGUMENT for a malformed entry.
   */
  record(entry: AccessLogEntry): boolean {
    return this.#recorder.record(entry)
  }

  /** Counts a whole log, in any order of time that stays within the kept history. Refuses entries, never the log. */
  ingest(entries: Iterable<unknown> | AsyncIterable<unknown>): Promise<IngestReport> {
    return ingest(this.#recorder, entries, this.#settings.clock)
  }

  /** What should move, where to, and why. Never changes what was recorded. */
  async predict(request: PredictRequest = {}): Promise<ShardAssignmentPrediction> {
    checkFields(request, REQUEST_FIELDS, 'request')
    const placement = request.placement ?? this.placement
    const checked = checkRequest(request, placement, this.#settings)
    const pace = new Pace(this.#settings.clock)
    if (placement.schema !== undefined) await this.#goOnWith(placement, pace)
    const prediction = await (predictChannel.hasSubscribers
      ? predictChannel.tracePromise(() => this.#recommender.predict(placement, checked), {
          buckets: placement.buckets,
          shards: placement.shards.length,
        })
      : this.#recommender.predict(placement, checked))
    const { keys } = this.#recorder
    if (placement.founded || keys === undefined) return prediction
    const { seed } = this.#recommender
    const moves = prediction.shardAssignmentMap
    const founding = await adviseFounding(keys, placement, moves, checked, this.#settings, seed, pace)
    if (founding === undefined) return prediction
    const { schema, relationships, shardAssignmentMap: assignments } = founding
    const map = new FoundingMap(moves, { schema, relationships, assignments })
    return { ...prediction, shardAssignmentMap: map, founding }
  }

  /**
   * The schema that the log suggests: what in the names of keys tells which are accessed together. Undefined where a schema was
   * given, where the log shows none, and where it would not be worth founding anew. A running topology cannot take it over.
   */
  async learnedSchema(): Promise<LearnedSchema | undefined> {
    const { shards, objective, clock } = this.#settings
    const { keys } = this.#recorder
    return keys && learnSchema(keys, shards.length, objective, new Pace(clock))
  }

  /** The placement that a deployment of these shards starts with. */
  get placement(): Placement {
    const { shards, buckets, seed, schema, relationships } = this.#settings
    this.#initial ??= Placement.initial({ shards, buckets, seed, schema, relationships })
    return this.#initial
  }

  /** Goes on with the schema of the placement, from the sample of what was recorded without one. */
  async #goOnWith({ schema, relationships }: Placement, pace: Pace): Promise<void> {
    const { keys } = this.#recorder
    if (keys === undefined) return
    this.#settings = { ...this.#settings, schema, relationships }
    this.#recorder = await replayed(keys, this.#settings, pace)
    this.#recommender = new Recommender(this.#settings, this.#recorder, this.#recommender.seed)
    this.#initial = undefined
  }

  /**
   * What came since then, put on two placements interval by interval: what J was, and what it would have been. Says nothing of
   * intervals that are no longer kept.
   */
  async hindsight(request: HindsightRequest): Promise<Hindsight> {
    checkFields(request, HINDSIGHT_FIELDS, 'request')
    const { before, after, since } = request
    const { buckets, clock } = this.#settings
    for (const [field, placement] of Object.entries({ before, after }))
      if (typeof placement?.assignmentOf !== 'function' || placement.buckets !== buckets)
        throw invalid(`request.${field}`, `must be a Placement of ${buckets} buckets`)
    if (before.shards.some((shard) => !after.shards.includes(shard)))
      throw invalid('request.before', 'must be a placement of the same shards as request.after')
    const now = request.now ?? clock.now()
    checkTime(since, 'request.since')
    checkTime(now, 'request.now')
    const { series } = this.#recorder
    const from = Math.max(series.oldest, Math.ceil(since / series.intervalMs))
    return this.#recommender.hindsight(before, after, from, series.newest < 0 ? from : series.intervalOf(now))
  }

  /**
   * What was recommended at that time, ms since the epoch, was undone at `now`: confidence and the choice between ways of planning learn
   * from what came, before the horizon is over. False where nothing is known of it any more.
   */
  conclude(at: number, now: number = this.#settings.clock.now()): boolean {
    checkTime(at, 'at')
    checkTime(now, 'now')
    const { series } = this.#recorder
    return this.#recommender.conclude(series.intervalOf(at), series.intervalOf(now))
  }

  /** The forecast load of one segment; undefined for a segment that was never accessed. */
  forecast(segment: SegmentId, request: ForecastRequest = {}): Forecast | undefined {
    checkFields(request, FORECAST_FIELDS, 'request')
    checkSegment(segment, this.#settings.buckets, 'segment')
    const series = this.#recommender.seriesOf(segment, request.now)
    if (series === undefined) return undefined
    const { intervalMs } = this.#settings
    const horizon = Math.max(1, Math.ceil((request.horizonMs ?? 24 * intervalMs) / intervalMs))
    return forecast(series, { horizon, level: request.level })
  }

  /** What was recorded of the complete intervals before `now`, by segment and by shard of the placement. */
  async history(request: Pick<PredictRequest, 'placement' | 'now'> = {}): Promise<LoadHistory> {
    checkFields(request, HISTORY_FIELDS, 'request')
    const placement = request.placement ?? this.placement
    const { now } = checkRequest(request, placement, this.#settings)
    return readLoadHistory(this.#recorder, placement, now, new Pace(this.#settings.clock))
  }

  /** What a segment is like: a sentence, as of the last prediction; undefined where that did not see it. */
  explain(segment: SegmentId): string | undefined {
    return this.#recommender.explain(segment)
  }

  /** The groups of segments that behave alike, largest first, as of the last prediction; of a segment, the one that it is in. */
  clusters(segment?: SegmentId): SegmentCluster[] {
    return this.#recommender.clusters(segment)
  }

  /** Number of the newest interval that saw an access (its start is so many times intervalMs), -1 before the first. */
  get newest(): number {
    return this.#recorder.series.newest
  }

  /** Length of an interval. */
  get intervalMs(): number {
    return this.#settings.intervalMs
  }

  get metrics(): PredictorMetrics {
    const { accepted, refused, series, hot, transactions } = this.#recorder
    return {
      accepted,
      refused: new Map(refused),
      slots: series.slots,
      hotTags: hot.tags.length,
      intervals: series.newest < 0 ? 0 : series.newest - series.oldest + 1,
      openTransactions: transactions.open,
      multiKeyTransactions: transactions.finished,
      bytes: this.#recorder.bytes,
      newestAt: series.newest < 0 ? undefined : series.newest * series.intervalMs,
      ...this.#recommender.metrics,
    }
  }

  /** Everything there is to know, as JSON: a predictor restored from it goes on as if it had never stopped. */
  snapshot(): PredictorSnapshot {
    return writeSnapshot(this.#settings, this.#recorder, this.#recommender)
  }

  /** @throws SNAPSHOT_CORRUPT for what is cut, altered, or of a newer version. */
  static restore(
    snapshot: PredictorSnapshot,
    own: Pick<PredictorOptions, 'clock' | 'random'> = {},
  ): Predictor {
    checkFields(own, OWN_FIELDS, 'own')
    const { options, adopt } = readSnapshot(snapshot)
    let predictor: Predictor
    try {
      predictor = new Predictor({ ...options, ...own, random: own.random ?? seededRandom(0) })
    } catch (cause) {
      throw new ForeshardError(ErrorCode.SNAPSHOT_CORRUPT, `snapshot: ${(cause as Error).message}`, { cause })
    }
    adopt(predictor.#recorder, predictor.#recommender)
    return predictor
  }
}

function checkTime(value: number, field: string): void {
  if (typeof value !== 'number' || !(value >= 0 && value < Number.POSITIVE_INFINITY))
    throw invalid(field, `must be a time in ms since the epoch, not ${shown(value)}`)
}
