import type { Placement } from '../../placement/assignment'
import type { MoveBudget, Objective } from '../../predictor/prediction'
import type { AccessLogEntry } from '../../tracking/access-log'
import { clairvoyantDecision } from '../policies/clairvoyant'
import { type CheckedDecision, decisionOf, type PlacementPolicy, threw } from '../policies/placement-policy'
import type { ReplayedInterval } from './interval'
import { noiseFloor } from './noise-floor'
import { Sequencer } from './sequencer'
import { TagTable } from './tag-table'
import { PolicyTrack } from './track'

export interface ReplayOptions {
  placement: Placement
  policies: readonly PlacementPolicy[]
  /** Whether to run the mover that sees the future, too. */
  clairvoyant: boolean
  intervalMs: number
  /** In intervals. */
  horizon: number
  /** Intervals between two decisions. */
  every: number
  latenessMs: number
  notAfter: number
  objective: Objective
  budget: MoveBudget
}

/** Numbers of tags are given out again when so many more are known than after the last time. */
const FORGET_AFTER = 100_000

/**
 * Leads policies through a log, interval by interval: score what the placements in force have cost, then let the
 * policies decide, from then on. Nothing is kept of an entry but its interval's sums, and of these one horizon of past
 * for the policies and one of future for the clairvoyant, which follows a horizon behind.
 */
export class Replay {
  readonly tracks = new Map<string, PolicyTrack>()
  readonly sequencer: Sequencer
  /** Per scored interval: expected imbalance under known rates; and what the hottest tag alone makes unavoidable. */
  readonly floors: { noise: number; hottestTag: number }[] = []
  readonly #options: ReplayOptions
  readonly #table: TagTable
  readonly #oracle: PolicyTrack | undefined
  readonly #past: ReplayedInterval[] = []
  /** Intervals that are over, but that the clairvoyant has not come to yet. */
  readonly #future: ReplayedInterval[] = []
  /** Number of the last interval that was closed; and of the last that the clairvoyant has come to. */
  #at = Number.NaN
  #oracleAt = Number.NaN
  #knownTags = 0

  constructor(options: ReplayOptions) {
    this.#options = options
    const { placement, policies, objective, horizon, intervalMs, latenessMs, notAfter } = options
    this.#table = new TagTable(placement)
    const track = () => new PolicyTrack(placement, this.#table, objective, horizon)
    for (const policy of policies) this.tracks.set(policy.name, track())
    if (options.clairvoyant) this.#oracle = track()
    const observers = policies.filter((policy) => policy.observe)
    this.sequencer = new Sequencer({
      table: this.#table,
      intervalMs,
      writeWeight: objective.writeWeight,
      latenessMs,
      notAfter,
      observe: (entry) => {
        for (const policy of observers) observe(policy, entry)
      },
    })
  }

  get oracle(): PolicyTrack | undefined {
    return this.#oracle
  }

  /** Takes an entry in; true when `advance` has something to do. */
  push(entry: AccessLogEntry): boolean {
    return this.sequencer.push(entry)
  }

  /** Works off the intervals that are over; all of them when the log has ended. */
  async advance(ended = false): Promise<void> {
    for (;;) {
      const interval = this.sequencer.shift(ended)
      if (!interval) break
      await this.#close(interval)
      const next = this.sequencer.next(ended)
      if (next === undefined) continue
      await this.#passSilence(interval.index, next)
      this.sequencer.reopen(next)
    }
    if (ended) this.#follow(true)
  }

  async #close(interval: ReplayedInterval): Promise<void> {
    const { policies } = this.#options
    for (const policy of policies) this.tracks.get(policy.name)!.score(interval)
    if (interval.load > 0) {
      this.#past.push(interval)
      this.floors.push(floorOf(interval, this.#options.placement.shards.length))
    }
    if (this.#oracle) {
      this.#future.push(interval)
      this.#follow(false)
    }
    await this.#decide(interval.index)
    this.#at = interval.index
    this.#forget()
  }

  /** Time goes on in silence too, but nothing changes any more once a horizon has passed without an access. */
  async #passSilence(last: number, next: number): Promise<void> {
    const { horizon } = this.#options
    for (let index = last + 1; index < next && index <= last + horizon; index++) await this.#decide(index)
    if (next - 1 > last + horizon) await this.#decide(next - 1)
  }

  /** Lets every policy decide at the end of interval `index`. */
  async #decide(index: number): Promise<void> {
    const { policies, every, horizon } = this.#options
    if ((index + 1) % every !== 0) return
    while (this.#past.length && this.#past[0]!.index <= index - horizon) this.#past.shift()
    for (const policy of policies) {
      const track = this.tracks.get(policy.name)!
      track.apply(await decisionOf(policy, this.#step(track, index, this.#past.slice())), index + 1)
    }
  }

  /** The clairvoyant scores an interval, and decides after it, as soon as the horizon that follows is known. */
  #follow(ended: boolean): void {
    const oracle = this.#oracle
    const { every, horizon } = this.#options
    if (!oracle) return
    while (this.#future.length > 0) {
      const next = this.#future[0]!
      const newest = this.#future[this.#future.length - 1]!.index
      if (!ended && newest - next.index < horizon) return
      if (!Number.isNaN(this.#oracleAt)) {
        const decideAt = (end: number) => {
          if ((end + 1) % every !== 0) return
          const future = this.#future.filter(
            (interval) => interval.index <= end + horizon && interval.load > 0,
          )
          if (future.length) oracle.apply(this.#clairvoyant(oracle, end, future), end + 1)
        }
        const silent = next.index - this.#oracleAt - 1
        for (let i = 0; i <= Math.min(silent, horizon); i++) decideAt(this.#oracleAt + i)
        if (silent > horizon) decideAt(next.index - 1)
      }
      oracle.score(next)
      this.#oracleAt = next.index
      this.#future.shift()
    }
  }

  #clairvoyant(oracle: PolicyTrack, index: number, future: readonly ReplayedInterval[]): CheckedDecision {
    return clairvoyantDecision(this.#step(oracle, index, []), future)
  }

  #step(track: PolicyTrack, index: number, past: readonly ReplayedInterval[]) {
    const { intervalMs, horizon, objective, budget } = this.#options
    return {
      placement: track.placement,
      now: (index + 1) * intervalMs,
      intervalMs,
      horizonMs: horizon * intervalMs,
      objective,
      budget,
      past,
    }
  }

  /** Nothing is known of a tag any more once neither the past nor a move that is still paid off can name it. */
  #forget(): void {
    if (this.#table.size < this.#knownTags + FORGET_AFTER) return
    const oldest = this.#oracle ? Math.min(this.#at, this.#future[0]?.index ?? this.#at) : this.#at
    const gone = this.#table.forget(oldest - this.#options.horizon)
    for (const track of this.tracks.values()) track.forget(gone)
    this.#oracle?.forget(gone)
    this.#knownTags = this.#table.size
  }
}

function observe(policy: PlacementPolicy, entry: AccessLogEntry): void {
  try {
    policy.observe!(entry)
  } catch (cause) {
    throw threw(policy, cause)
  }
}

function floorOf(interval: ReplayedInterval, shards: number): { noise: number; hottestTag: number } {
  let hottest = 0
  for (const load of interval.loads) if (load > hottest) hottest = load
  return {
    noise: noiseFloor((interval.load * interval.load) / interval.squares, shards),
    hottestTag: Math.max(1, (hottest * shards) / interval.load),
  }
}
