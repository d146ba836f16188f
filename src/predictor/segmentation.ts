import type { SegmentId } from '../placement/segment'
import { cluster, labelOf } from './clusters'
import { peakOfDay, Waves } from './features'
import type { PooledProfiles } from './forecast/bank'
import { type Heat, Heats } from './heat'
import type { Pace } from './pace'
import type { Workload } from './workload'

/** Clusters are found anew after so many intervals, or when the number of segments has changed by a tenth. */
const REFIT_EVERY = 24
/** Segments of a cluster that are named. */
const NAMED = 5

/** Segments that behave alike, as of the last prediction. */
export interface SegmentCluster {
  readonly segments: number
  /** Hour of the day, UTC, around which they are used most; undefined where they have none. */
  readonly peakHour?: number
  readonly examples: readonly SegmentId[]
}

export interface SegmentationState {
  centroids: (readonly number[] | null)[]
  spread: readonly number[]
  fittedAt: number
  fittedItems: number
}

/** Which segments are alike: their clusters, how hot they are, and a sentence about each. */
export class Segmentation {
  #centroids: (readonly number[] | undefined)[] = []
  #spread: readonly number[] = []
  #fittedAt = -1
  #fittedItems = 0
  #labels: Int32Array = new Int32Array(0)
  #heat = Heats.of(new Float64Array(0))
  #sizes: number[] = []
  #itemOf = new Map<SegmentId, number>()

  /** `degreeOf`: share of the multi-key transactions that an item takes part in. */
  async refit(
    workload: Workload,
    seasons: readonly number[],
    degreeOf: (item: number) => number,
    seed: number,
    pace: Pace,
  ): Promise<void> {
    const items = workload.segments.length
    const waves = new Waves(seasons, workload.intervals, workload.first)
    const rows: Float64Array[] = []
    for (let item = 0; item < items; item++) {
      rows.push(waves.featuresOf(workload, item, degreeOf(item)))
      if (item % 64 === 0) await pace.rest()
    }
    const now = workload.first + workload.intervals
    const due =
      this.#fittedAt < 0 ||
      now - this.#fittedAt >= REFIT_EVERY ||
      Math.abs(items - this.#fittedItems) > 0.1 * this.#fittedItems
    if (due && items > 0) {
      const found = await cluster(rows, this.#centroids, seed, pace)
      this.#centroids = [...found.centroids]
      this.#labels = found.labels
      this.#spread = found.spread
      this.#fittedAt = now
      this.#fittedItems = items
    } else {
      const labels = new Int32Array(items)
      for (let item = 0; item < items; item++) {
        labels[item] = labelOf(rows[item]!, this.#centroids, this.#spread)
        if (item % 512 === 0) await pace.rest()
      }
      this.#labels = labels
    }
    await pace.rest()
    this.#sizes = this.#centroids.map(() => 0)
    for (const label of this.#labels) if (label >= 0) this.#sizes[label]!++
    this.#heat = Heats.of(workload.sums)
    await pace.rest()
    this.#itemOf = new Map()
    for (let item = 0; item < items; item++) {
      this.#itemOf.set(workload.segments[item]!, item)
      if (item % 4096 === 0) await pace.rest()
    }
  }

  /**
   * The profiles that segments with too few accesses for one of their own borrow: per cluster, `period` factors with a mean of 1, by
   * interval number modulo `period`.
   */
  async profiles({ loads, intervals, first }: Workload, period: number, pace: Pace): Promise<PooledProfiles> {
    const sums = this.#centroids.map(() => new Float64Array(period))
    const counts = new Float64Array(period)
    for (let t = 0; t < intervals; t++) counts[(first + t) % period]!++
    for (let item = 0; item < this.#labels.length; item++) {
      const sum = sums[this.#labels[item]!]
      if (sum === undefined) continue
      for (let t = 0, phase = first % period; t < intervals; t++) {
        sum[phase]! += loads[item * intervals + t]!
        if (++phase === period) phase = 0
      }
      if (item % 256 === 0) await pace.rest()
    }
    const profiles = sums.map((sum) => {
      const rates = sum.map((load, phase) => (counts[phase]! > 0 ? load / counts[phase]! : 0))
      const mean = rates.reduce((total, rate) => total + rate, 0) / period
      return mean > 0 ? rates.map((rate) => rate / mean) : rates.fill(1)
    })
    return { profiles, of: this.#labels }
  }

  labelOf(segment: SegmentId): number | undefined {
    const item = this.#itemOf.get(segment)
    return item === undefined ? undefined : this.#labels[item]
  }

  heatOf(segment: SegmentId): Heat | undefined {
    const item = this.#itemOf.get(segment)
    return item === undefined ? undefined : this.#heat.of(item)
  }

  /** 'it behaves like 212 others that peak at 18:00 UTC'; undefined where it is alone or unknown. */
  alike(segment: SegmentId): string | undefined {
    const label = this.labelOf(segment)
    if (label === undefined || label < 0) return undefined
    const others = this.#sizes[label]! - 1
    const centroid = this.#centroids[label]
    if (others < 1 || !centroid) return undefined
    const peak = peakOfDay(centroid)
    const like = `it behaves like ${others} other${others === 1 ? '' : 's'}`
    return peak === undefined ? like : `${like} that peak${others === 1 ? 's' : ''} around ${hour(peak)} UTC`
  }

  /** The clusters, largest first; of a segment, the one that it is in. */
  clusters(segment?: SegmentId): SegmentCluster[] {
    const examples: SegmentId[][] = this.#sizes.map(() => [])
    for (const [named, item] of this.#itemOf) {
      const of = examples[this.#labels[item]!]
      if (of && of.length < NAMED) of.push(named)
    }
    const own = segment === undefined ? undefined : (this.labelOf(segment) ?? -1)
    return this.#sizes
      .map((segments, label) => {
        const centroid = this.#centroids[label]
        const peak = centroid && peakOfDay(centroid)
        const peakHour = peak === undefined ? undefined : Math.round(peak * 24) % 24
        return { segments, peakHour, examples: examples[label]!, label }
      })
      .filter(({ segments, label }) => segments > 0 && (own === undefined || own === label))
      .sort((a, b) => b.segments - a.segments)
      .map(({ label: _label, ...cluster }) => cluster)
  }

  /** A sentence about a segment. */
  explain(segment: SegmentId): string | undefined {
    const heat = this.heatOf(segment)
    if (heat === undefined) return undefined
    const alike = this.alike(segment)
    return `${segment.slice(0, 80)} is ${heat}${alike === undefined ? '' : `; ${alike}`}.`
  }

  state(): SegmentationState {
    return {
      centroids: this.#centroids.map((centroid) => centroid ?? null),
      spread: this.#spread,
      fittedAt: this.#fittedAt,
      fittedItems: this.#fittedItems,
    }
  }

  adopt(state: SegmentationState): void {
    this.#centroids = state.centroids.map((centroid) => centroid ?? undefined)
    this.#spread = state.spread
    this.#fittedAt = state.fittedAt
    this.#fittedItems = state.fittedItems
  }
}

function hour(share: number): string {
  const hours = Math.round(share * 24) % 24
  return `${String(hours).padStart(2, '0')}:00`
}
