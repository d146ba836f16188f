import type { Clock } from '../clock'
import { invalid, shown } from '../errors'
import type { MaintenanceWindows } from '../maintenance-window'
import { checkFields, type Fields } from '../options'

/** How copying gives way to the operations of this process. */
export interface PaceOptions {
  /** p99 may rise to so many times what it was before the resharding; default 2. */
  tolerance?: number
  /** And by so much, whatever it was; default 5. */
  slackMs?: number
  /** Copying never becomes slower; default 100. */
  minKeysPerSecond?: number
  /** Nor faster, also where the resharding itself has no limit; default none. */
  maxKeysPerSecond?: number
  /** Time between two looks; default 1000. */
  periodMs?: number
}

const FIELDS: Fields<PaceOptions> = {
  tolerance: true,
  slackMs: true,
  minKeysPerSecond: true,
  maxKeysPerSecond: true,
  periodMs: true,
}

/** Latencies of operations, as the pace sees them. */
export interface LatencyProbe {
  /** Of the time before, for comparison. */
  recent(): Latency
  /** Since the last call. */
  take(): Latency
}

export interface Latency {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** How fast copying may be, and why. */
export interface PaceReading {
  /** Infinity: it was never slowed down, and has no limit. */
  readonly keysPerSecond: number
  /** Of operations in the last period that had enough of them, and before the resharding. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p99BeforeMs: number
  /** ms since the epoch: no maintenance window is open until then. */
  readonly pausedUntil: number | undefined
}

/** Fewer operations tell nothing of a p99. */
const FEWEST = 20
const CUT = 0.5
/** Of the pace before the last cut, a period. */
const STEP = 1 / 20
/** A closed window is looked at again so often: clocks are set, and plans cancelled. */
const LOOK_MS = 60_000

export function checkPace(options: PaceOptions | undefined, field: string): void {
  if (options === undefined) return
  checkFields(options, FIELDS, field)
  const number = (name: keyof PaceOptions, least: number) => {
    const value = options[name]
    if (value !== undefined && !(typeof value === 'number' && value >= least))
      throw invalid(`${field}.${name}`, `must be a number from ${least}, not ${shown(value)}`)
  }
  number('tolerance', 1)
  number('slackMs', 0)
  number('minKeysPerSecond', Number.MIN_VALUE)
  number('maxKeysPerSecond', Number.MIN_VALUE)
  number('periodMs', 1)
  if ((options.minKeysPerSecond ?? 0) > (options.maxKeysPerSecond ?? Number.POSITIVE_INFINITY))
    throw invalid(`${field}.minKeysPerSecond`, 'must not be above maxKeysPerSecond')
}

/**
 * The pace of one resharding. Additive increase, multiplicative decrease (Chiu and Jain 1989): where the p99 of operations has
 * risen beyond what is tolerated, the pace is halved; in each period in which it has not, it grows by a
 * twentieth of what it was before the last cut. Outside maintenance windows it stands still.
 */
export class Pace {
  readonly #clock: Clock
  readonly #options: Required<PaceOptions> | undefined
  readonly #probe: LatencyProbe | undefined
  readonly #windows: MaintenanceWindows | undefined
  readonly #onChange: (reading: PaceReading) => void
  readonly #before: Latency | undefined
  #latest: Latency | undefined
  #keysPerSecond: number
  #step = 0
  #since: number
  /** Keys that were let through since then. */
  #keys = 0
  #pausedUntil: number | undefined

  constructor(it: {
    clock: Clock
    maxKeysPerSecond: number
    pace: PaceOptions | undefined
    probe: LatencyProbe | undefined
    windows: MaintenanceWindows | undefined
    onChange: (reading: PaceReading) => void
  }) {
    this.#clock = it.clock
    this.#windows = it.windows
    this.#onChange = it.onChange
    this.#since = it.clock.now()
    const ceiling = Math.min(it.maxKeysPerSecond, it.pace?.maxKeysPerSecond ?? Number.POSITIVE_INFINITY)
    this.#keysPerSecond = ceiling
    if (!it.pace || !it.probe) return
    const { tolerance = 2, slackMs = 5, minKeysPerSecond = 100, periodMs = 1000 } = it.pace
    this.#options = {
      tolerance,
      slackMs,
      minKeysPerSecond: Math.min(minKeysPerSecond, ceiling),
      maxKeysPerSecond: ceiling,
      periodMs,
    }
    this.#probe = it.probe
    this.#before = it.probe.recent()
    it.probe.take()
  }

  /** Infinity where nothing limits it. */
  get keysPerSecond(): number {
    return this.#keysPerSecond
  }

  get reading(): PaceReading {
    return {
      keysPerSecond: this.#keysPerSecond,
      p50Ms: this.#latest?.p50Ms ?? 0,
      p99Ms: this.#latest?.p99Ms ?? 0,
      p99BeforeMs: this.#before?.p99Ms ?? 0,
      pausedUntil: this.#pausedUntil,
    }
  }

  /** Waits for a maintenance window. Rejects with the signal's reason. */
  async open(signal: AbortSignal): Promise<void> {
    const windows = this.#windows
    if (!windows) return
    for (let now = this.#clock.now(); !windows.isOpen(now); now = this.#clock.now()) {
      const until = windows.opensAt(now) ?? now + LOOK_MS
      if (until !== this.#pausedUntil) {
        this.#pausedUntil = until
        this.#onChange(this.reading)
      }
      await this.#clock.sleep(Math.min(until - now, LOOK_MS), signal)
    }
    if (this.#pausedUntil === undefined) return
    this.#pausedUntil = undefined
    // What operations took meanwhile had nothing to do with the copying.
    this.#probe?.take()
    this.#since = this.#clock.now()
    this.#keys = 0
    this.#onChange(this.reading)
  }

  /** Keys are about to be copied: a look at the latency, if it is time for one. */
  copying(keys: number): void {
    if (!this.#options || !this.#probe || !this.#before) return
    const now = this.#clock.now()
    const elapsedMs = now - this.#since
    if (elapsedMs < 0) this.#since = now
    if (elapsedMs >= this.#options.periodMs) this.#look(elapsedMs, now)
    this.#keys += keys
  }

  #look(elapsedMs: number, now: number): void {
    const { tolerance, slackMs, minKeysPerSecond, maxKeysPerSecond } = this.#options!
    const before = this.#before!
    // A p99 of before that rests on too few operations is none to compare with.
    if (before.count < FEWEST) return
    const latest = this.#probe!.take()
    const copied = (1000 * this.#keys) / elapsedMs
    this.#since = now
    this.#keys = 0
    const old = this.#keysPerSecond
    const told = this.#latest
    if (latest.count >= FEWEST) {
      this.#latest = latest
      if (latest.p99Ms > Math.max(before.p99Ms * tolerance, before.p99Ms + slackMs)) {
        // Without a limit, what was copied is the pace that was too much.
        const base = Math.min(old, Math.max(copied, minKeysPerSecond))
        this.#step = base * STEP
        this.#keysPerSecond = Math.max(minKeysPerSecond, base * CUT)
      } else this.#grow(maxKeysPerSecond)
    } else this.#grow(maxKeysPerSecond)
    if (old !== this.#keysPerSecond || told === undefined) this.#onChange(this.reading)
  }

  #grow(ceiling: number): void {
    if (this.#keysPerSecond < ceiling)
      this.#keysPerSecond = Math.min(ceiling, this.#keysPerSecond + this.#step)
  }
}
