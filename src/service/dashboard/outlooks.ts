import type { Clock } from '../../clock'
import type { Placement } from '../../placement/assignment'
import { forecast } from '../../predictor/forecast'
import type { LoadHistory } from '../../predictor/load-history'
import type { Predictor } from '../../predictor/predictor'
import type { BandDocument, HeatDocument, OutlookDocument } from './document'

/** Intervals that a forecast reaches, back and ahead. */
const HORIZON = 24
/** Below this there is nothing to learn a forecast from. */
const SHORTEST = 8
const LEVEL = 0.95
const HEAT_ROWS = 40
const HEAT_INTERVALS = 168
/** How many of the hottest segments can be looked at one by one. */
const KNOWN_SEGMENTS = 200

/** What was and what is to come, from a predictor's record. Read again when an interval is over, or the placement changed. */
export class Outlooks {
  readonly #predictor: () => Predictor
  readonly #placement: () => Placement
  readonly #clock: Clock
  #read: { of: Predictor; interval: number; placement: Placement; history: Promise<LoadHistory> } | undefined
  #peaks: { of: LoadHistory; peaks: Map<string, Peak> } | undefined

  constructor(predictor: () => Predictor, placement: () => Placement, clock: Clock) {
    this.#predictor = predictor
    this.#placement = placement
    this.#clock = clock
  }

  history(): Promise<LoadHistory> {
    const predictor = this.#predictor()
    const { intervalMs, newest } = predictor
    const placement = this.#placement()
    // Of a log that ended long ago the end is shown, not the silence since.
    const now = Math.max(0, Math.min(this.#clock.now(), (newest + 1) * intervalMs))
    const interval = Math.floor(now / intervalMs)
    const read = this.#read
    if (read?.of === predictor && read.interval === interval && read.placement === placement)
      return read.history
    const history = predictor.history({ placement, now })
    this.#read = { of: predictor, interval, placement, history }
    history.catch(() => {
      if (this.#read?.history === history) this.#read = undefined
    })
    return history
  }

  /** The highest load that each shard is forecast to have, a second. */
  async peaks(): Promise<ReadonlyMap<string, Peak>> {
    const history = await this.history()
    if (this.#peaks?.of === history) return this.#peaks.peaks
    const peaks = new Map<string, Peak>()
    const perSecond = history.intervalMs / 1000
    for (const [shard, loads] of history.shards) {
      const ahead = bandOf(loads)
      if (!ahead) continue
      let at = 0
      for (let t = 1; t < ahead.mean.length; t++) if (ahead.mean[t]! > ahead.mean[at]!) at = t
      peaks.set(shard, {
        mean: ahead.mean[at]! / perSecond,
        upper: ahead.upper[at]! / perSecond,
        at: history.from + (loads.length + at) * history.intervalMs,
      })
    }
    this.#peaks = { of: history, peaks }
    return peaks
  }

  async heat(): Promise<HeatDocument> {
    const placement = this.#placement()
    const history = await this.history()
    const rows = history.hottest(HEAT_ROWS, HEAT_INTERVALS)
    const kept = Math.min(HEAT_INTERVALS, rows[0]?.loads.length ?? 0)
    const from = history.from + ((rows[0]?.loads.length ?? 0) - kept) * history.intervalMs
    return {
      intervalMs: history.intervalMs,
      from,
      rows: rows.map(({ segment, loads }) => ({
        segment,
        shard: placement.shardOf(segment),
        loads: Array.from(loads.subarray(loads.length - kept), rounded),
      })),
    }
  }

  /** `of`: a shard, or one of the hottest segments; undefined for what is neither. */
  async outlook(of: string): Promise<OutlookDocument | undefined> {
    const history = await this.history()
    const loads =
      history.shards.get(of) ?? history.hottest(KNOWN_SEGMENTS).find(({ segment }) => segment === of)?.loads
    if (!loads) return undefined
    const before = bandOf(loads.subarray(0, Math.max(0, loads.length - HORIZON)))
    const late = loads.subarray(Math.max(0, loads.length - HORIZON))
    const covered =
      before &&
      late.filter((load, t) => load >= before.lower[t]! && load <= before.upper[t]!).length / late.length
    const shown = loads.subarray(Math.max(0, loads.length - HEAT_INTERVALS))
    return {
      of,
      intervalMs: history.intervalMs,
      from: history.from + (loads.length - shown.length) * history.intervalMs,
      loads: Array.from(shown, rounded),
      before,
      ahead: bandOf(loads),
      covered,
      level: LEVEL,
    }
  }
}

export interface Peak {
  readonly mean: number
  readonly upper: number
  /** Start of the interval, ms since the epoch. */
  readonly at: number
}

function bandOf(loads: Float64Array): BandDocument | undefined {
  if (loads.length < SHORTEST) return undefined
  const { mean, lower, upper } = forecast(loads, { horizon: HORIZON, level: LEVEL })
  return { mean: mean.map(rounded), lower: lower.map(rounded), upper: upper.map(rounded) }
}

/** Three decimals are more than anybody sees. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
