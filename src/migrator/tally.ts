import { DURATION_BOUNDS_MS, Histogram } from '../histogram'
import type { MovePhase, ReshardingReport } from './progress'

/** What one migrator has done since it was made; a plan that it took over counts from there on. */
export interface MigrationCounts {
  /** Name of the migrator, as in its lease. */
  readonly holder: string
  readonly reshardings: Readonly<Record<ReshardingReport['outcome'], number>>
  readonly moves: Readonly<Record<'done' | 'cancelled' | 'failed', number>>
  readonly keysCopied: number
  readonly bytesCopied: number
  readonly retries: number
  /** How long a move was in each phase, and how long writes were held, in milliseconds. */
  readonly phases: ReadonlyMap<MovePhase, Histogram>
  readonly holds: Histogram
}

/** Counts over all reshardings of a migrator, which the board of each of them adds to. */
export class Tally implements MigrationCounts {
  readonly holder: string
  readonly reshardings = { done: 0, partial: 0, failed: 0, cancelled: 0 }
  readonly moves = { done: 0, cancelled: 0, failed: 0 }
  keysCopied = 0
  bytesCopied = 0
  retries = 0
  readonly phases = new Map<MovePhase, Histogram>()
  readonly holds = new Histogram(DURATION_BOUNDS_MS)

  constructor(holder: string) {
    this.holder = holder
  }

  left(phase: MovePhase, ms: number): void {
    let histogram = this.phases.get(phase)
    if (!histogram) {
      histogram = new Histogram(DURATION_BOUNDS_MS)
      this.phases.set(phase, histogram)
    }
    histogram.record(ms)
  }
}
