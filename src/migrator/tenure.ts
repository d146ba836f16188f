import { reshardingChannel } from '../channels'
import { ErrorCode, ForeshardError } from '../errors'
import type { ShardId } from '../placement/segment'
import type { MoveEntry, PlanEntry, TopologyChange } from '../topology-store'
import { purge } from './completion'
import type { Gate } from './gate'
import { Stop } from './interruption'
import type { LeaseGrip } from './lease'
import type { Office } from './office'
import { Pace } from './pace'
import type { ProgressBoard } from './progress-board'
import { Rescue, type RescueReport } from './rescue'
import { carryOut, historyOf } from './resharding'
import { Throttle } from './throttle'
import type { Work } from './work'

/** The time in which this migrator holds the lease, and what it does in it. */
export class Tenure {
  readonly #office: Office
  readonly #grip: LeaseGrip
  readonly #gate: Gate

  constructor(office: Office, grip: LeaseGrip) {
    this.#office = office
    this.#grip = grip
    this.#gate = office.gate.leased(grip.signal, office.outageMs)
  }

  release(): Promise<void> {
    return this.#grip.release()
  }

  /** The plan that stands in the topology now. */
  async standing(): Promise<PlanEntry | undefined> {
    await this.#gate.askTopology(() => this.#office.known.refresh())
    return this.#office.known.plan
  }

  /** Makes a plan known before its first step, in the place of the one that stands; false where another was faster. */
  async begin(plan: PlanEntry): Promise<boolean> {
    const old = this.#office.known.plan
    const expect = { term: this.#grip.term, plan: old?.id ?? null }
    const change: TopologyChange = { plan, expect, ...(old && this.#historyOf(old)) }
    await this.#gate.askTopology((topology) => topology.commit(change))
    return (await this.standing())?.id === plan.id
  }

  /**
   * Carries out the plan that stands, and ends it. The moves that it could not settle, which it answers, stay in the
   * topology as a plan that was cancelled.
   */
  async carryOut(plan: PlanEntry, board: ProgressBoard, takenOver: boolean): Promise<MoveEntry[]> {
    const { topology, known, cancels } = this.#office
    const own = cancels.get(plan.id)
    const cancel = own ?? new AbortController()
    cancels.set(plan.id, cancel)
    if (plan.cancelled) cancel.abort(cancelled())
    const onCancel = () => board.turn('cancelling')
    cancel.signal.addEventListener('abort', onCancel, { once: true })
    if (cancel.signal.aborted) onCancel()
    // A hint that someone may have cancelled it; the search for each segment's owner looks as well.
    const unwatch = topology.watch((delta) => {
      if (!delta || !known.hear(delta)) known.refresh().catch(() => undefined)
    })
    try {
      const work = this.#work(plan, board, cancel.signal, takenOver)
      const { holder: migrator } = this.#office
      const left = await (reshardingChannel.hasSubscribers
        ? reshardingChannel.tracePromise(() => carryOut(work), {
            migrator,
            resharding: plan.id,
            moves: plan.moves.length,
            reason: plan.reason,
          })
        : carryOut(work))
      await this.#end(plan, left)
      return left
    } finally {
      unwatch()
      cancel.signal.removeEventListener('abort', onCancel)
      if (!own) cancels.delete(plan.id)
    }
  }

  /** Makes shards that came back as others fit to serve; `found` are the names by which they answer now. */
  rescue(found: ReadonlyMap<ShardId, string>): Promise<RescueReport | undefined> {
    return new Rescue(this.#office, this.#gate.toAll(), found).run()
  }

  /** Purges the copies whose grace period is over; answers how many. */
  async purgeDue(): Promise<number> {
    const { known, clock, bucketOf, onError } = this.#office
    let purged = 0
    for (const entry of [...known.retained]) {
      if (entry.until > clock.now()) continue
      try {
        if (await purge(this.#gate, { topology: known, bucketOf }, entry)) purged++
      } catch (error) {
        if (error instanceof Stop) throw error
        // Its shard is out of reach: next time.
        onError(error)
      }
    }
    return purged
  }

  async #end(plan: PlanEntry, left: readonly MoveEntry[]): Promise<void> {
    const change: TopologyChange = {
      plan: left.length > 0 ? remainder(plan, left) : null,
      ...this.#historyOf(plan),
    }
    const expect = { term: this.#grip.term, plan: plan.id }
    await this.#gate.askTopology((topology) => topology.commit({ ...change, expect }))
    if ((await this.standing())?.id === plan.id && left.length === 0) throw new Stop('lease lost')
  }

  #historyOf(plan: PlanEntry): Pick<TopologyChange, 'history'> {
    const entry = historyOf(plan, this.#office.known, this.#office.clock.now())
    return entry ? { history: [entry] } : {}
  }

  #work(plan: PlanEntry, board: ProgressBoard, cancel: AbortSignal, takenOver: boolean): Work {
    const { known, clock, bucketOf, batchKeys, batchBytes, maxHoldMs, outageMs, onCutover } = this.#office
    const { pace, probe, windows } = this.#office
    const { maxKeysPerSecond } = plan
    const onChange = () => board.paceChanged()
    const kept =
      (pace && probe) || windows
        ? new Pace({ clock, maxKeysPerSecond, pace, probe, windows, onChange })
        : undefined
    board.pace = kept
    const onOutage = (shard: ShardId, since: number | undefined) => board.outage(shard, since)
    const patient = this.#gate.patient({ ms: outageMs, onOutage })
    const means = new Map<ShardId, Promise<number | undefined>>()
    return {
      plan,
      holder: this.#office.holder,
      merges: new Set(plan.merges),
      takenOver,
      gate: this.#gate,
      patient,
      cancellable: patient.narrowed(cancel),
      topology: known,
      throttle: new Throttle(clock, maxKeysPerSecond, plan.maxBytesPerSecond, kept, this.#office.standstill),
      board,
      clock,
      bucketOf,
      batchKeys,
      batchBytes,
      maxHoldMs,
      meanKeys: (shard) => {
        const mean = means.get(shard) ?? this.#meanKeys(shard)
        means.set(shard, mean)
        return mean
      },
      onCutover: (cutover) => onCutover({ id: plan.id, ...cutover }),
    }
  }

  async #meanKeys(shard: ShardId): Promise<number | undefined> {
    const { store, known } = this.#office
    try {
      const size = await store(shard)?.size()
      return size && size.keys / Math.max(1, known.segmentsOn(shard))
    } catch {
      return undefined
    }
  }
}

/** What could not be settled of a plan that has ended otherwise: to be undone, unless it turns out to have committed. */
function remainder(plan: PlanEntry, left: readonly MoveEntry[]): PlanEntry {
  const id = plan.id.endsWith(REMAINDER) ? plan.id : plan.id + REMAINDER
  return { ...plan, id, moves: left, merges: [], cancelled: true }
}
const REMAINDER = '.remainder'

export function cancelled(): ForeshardError {
  return new ForeshardError(ErrorCode.CANCELLED, 'the resharding was cancelled')
}
