import type { SegmentId } from '../placement/segment'
import type { ForecastBank, PooledProfiles } from './forecast/bank'
import type { Settings } from './options'
import type { Pace } from './pace'
import type { Workload } from './workload'

export class Segmentation {
  #items = 0
  async refit(
    workload: Workload,
    _seasons: readonly number[],
    _settings: Settings,
    _pace: Pace,
  ): Promise<void> {
    this.#items = workload.segments.length
  }
  pooled(bank: ForecastBank): PooledProfiles {
    const all = Array.from({ length: this.#items }, (_, k) => k)
    return { profiles: [bank.profileOf(all)], of: new Int32Array(this.#items) }
  }
  explain(_segment: SegmentId): string | undefined {
    return undefined
  }
  alike(_segment: SegmentId): string | undefined {
    return undefined
  }
}
