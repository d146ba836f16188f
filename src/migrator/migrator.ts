import { Breather, type Clock, type Random } from '../clock'
import { ErrorCode, ForeshardError, invalid } from '../errors'
import { type MaintenanceWindow, MaintenanceWindows } from '../maintenance-window'
import { bucketSegment, type SegmentId, type ShardId } from '../placement/segment'
import type { ShardStore } from '../shard-store'
import type { MoveEntry, PlanEntry, TopologyStore } from '../topology-store'
import { Announcer, type MigratorEvents } from './announcer'
import { type Failpoint, Gate, isMistake } from './gate'
import { Stop } from './interruption'
import { KnownTopology } from './known-topology'
import { MigratorLease } from './lease'
import type { Office } from './office'
import { checkPace, type LatencyProbe, type PaceOptions } from './pace'
import { checkRequest, type PlanRequest, planEntry, refusalOf } from './plan'
import { PlanBoards } from './plan-boards'
import type { ReshardingProgress, ReshardingReport } from './progress'
import { readOff } from './resharding'
import { Standstill } from './standstill'
import { type MigrationCounts, Tally } from './tally'
import { cancelled, type Tenure } from './tenure'
import { Tenures } from './tenures'

export interface MigratorOptions {
  readonly topology: TopologyStore
  /** What the process knows of it already, and keeps up to date; a migrator alone reads it for itself. */
  readonly known?: KnownTopology
  /** The open store of a shard. */
  readonly store: (shard: ShardId) => ShardStore | undefined
  /** The bucket that a segment is, or was carved out of. Throws for what is no segment. */
  readonly bucketOf: (segment: SegmentId) => number
  readonly clock: Clock
  readonly random: Random
  /** Names this process in the lease; no two may share it. */
  readonly holder: string
  readonly leaseMs?: number
  /** How often `start` looks for what others left unfinished, and for what is due to be purged. */
  readonly pollMs?: number
  readonly batchKeys?: number
  readonly batchBytes?: number
  /** Longest pause of writes at a cutover, as the shard measures it. */
  readonly maxHoldMs?: number
  /** How long a plan waits for a shard that does not answer, before it undoes what has not been cut over. */
  readonly outageMs?: number
  /** Copying gives way to operations whose latency rises; needs `latency`. Default: it does not. */
  readonly pace?: PaceOptions
  /** Nothing is copied, and no move begun, outside of them; default always. */
  readonly windows?: readonly MaintenanceWindow[]
  readonly latency?: LatencyProbe
  /**
   * The names by which the stores of shards answer now, asked of the shards themselves where they are not those that the
   * topology knows: whoever does not know of a restart yet would take it back.
   */
  readonly incarnations?: () => Promise<ReadonlyMap<ShardId, string>>
  /** Why a shard may not be used now, if that is so. */
  readonly refusal?: (shard: ShardId) => ForeshardError | undefined
  /** Told of a store that is not what it was when it was opened. */
  readonly onMismatch?: (shard: ShardId) => void
  /** For tests: called before and after every step; where it throws, this migrator dies on the spot. */
  readonly failpoint?: Failpoint
}

export interface StewardReport {
  /** Of a plan that another process had left unfinished. */
  readonly report: ReshardingReport | undefined
  /** Copies of former owners whose grace period had ended. */
  readonly purged: number
}

/** A plan that cannot be settled is tried again after a pause that grows to this. */
const LONGEST_WAIT_MS = 60_000

/**
 * Carries out plans, one at a time, and finishes those that others left. What it knows is in the topology store and in
 * the fences: any number of migrators may run, die and wake up again.
 */
export class Migrator {
  readonly #office: Office
  readonly #announcer = new Announcer()
  readonly #lease: MigratorLease
  readonly #tenures: Tenures
  readonly #boards: PlanBoards
  readonly #stop = new AbortController()
  readonly #random: Random
  readonly #holder: string
  readonly #pollMs: number
  readonly #incarnations: () => Promise<ReadonlyMap<ShardId, string>>
  readonly #cancels = new Map<string, AbortController>()
  readonly #unfollow: () => void
  #queue: Promise<unknown> = Promise.resolve()
  #stopPolling: (() => void) | undefined
  #stuck: { id: string; until: number; waitMs: number } | undefined
  #plans = 0
  #rescuing: Promise<boolean> | undefined

  constructor(options: MigratorOptions) {
    const { topology, store, bucketOf, clock, random, holder, failpoint } = options
    const {
      leaseMs = 10_000,
      pollMs = 1_000,
      batchKeys = 256,
      batchBytes = 1 << 20,
      maxHoldMs = 50,
      outageMs = 180_000,
      refusal = () => undefined,
      onMismatch = () => {},
      incarnations = async () => new Map(),
    } = options
    for (const [field, value] of Object.entries({
      leaseMs,
      pollMs,
      batchKeys,
      batchBytes,
      maxHoldMs,
      outageMs,
    }))
      if (!(value >= 1)) throw invalid(`options.${field}`, 'must be at least 1')
    if (typeof holder !== 'string' || holder === '') throw invalid('options.holder', 'must name this process')
    checkPace(options.pace, 'options.pace')
    const windows = options.windows && new MaintenanceWindows(options.windows)
    this.#random = random
    this.#holder = holder
    this.#pollMs = pollMs
    this.#incarnations = incarnations
    this.#lease = new MigratorLease(topology, holder, clock, leaseMs)
    const crash = (cause: unknown) => this.#crash(cause)
    const check = () => this.#lease.check()
    const breather = new Breather(clock)
    const gate = new Gate(
      { topology, store, clock, breather, random, failpoint, crash, check, refusal, onMismatch },
      this.#stop.signal,
    )
    const known = options.known ?? new KnownTopology(topology)
    this.#unfollow = known.follow({ apply: () => this.#heed(), load: () => this.#heed() })
    this.#office = {
      topology,
      known,
      gate,
      clock,
      holder,
      tally: new Tally(holder),
      standstill: new Standstill(),
      store,
      bucketOf,
      batchKeys,
      batchBytes,
      maxHoldMs,
      outageMs,
      pace: options.pace,
      probe: options.latency,
      windows,
      cancels: this.#cancels,
      onCutover: (cutover) => this.#announcer.tell('cutover', cutover),
      onError: (error) => this.#announcer.tell('error', error),
    }
    const { tally, onError } = this.#office
    this.#boards = new PlanBoards(this.#announcer, clock, tally)
    this.#tenures = new Tenures({ office: this.#office, lease: this.#lease, random, pollMs, onError })
  }

  /** Calls `listener` until the function that it answers is called. What a listener throws harms nobody. */
  on<E extends keyof MigratorEvents>(event: E, listener: (...args: MigratorEvents[E]) => void): () => void {
    return this.#announcer.on(event, listener)
  }

  /**
   * Carries out a plan, after those that were asked for before. `done` tells what became of it, whatever that is; it
   * rejects only where this migrator is closed meanwhile, with CLOSED. Then another process finishes the plan.
   */
  run(
    request: PlanRequest,
    { signal }: { signal?: AbortSignal } = {},
  ): { id: string; done: Promise<ReshardingReport> } {
    if (this.#stop.signal.aborted) throw closed()
    const { store, bucketOf, clock } = this.#office
    checkRequest(request, (shard) => store(shard) !== undefined, bucketOf)
    const chance = Math.floor(this.#random() * 2 ** 32).toString(36)
    const id = `${this.#holder}-${clock.now().toString(36)}-${++this.#plans}-${chance}`
    const cancel = new AbortController()
    this.#cancels.set(id, cancel)
    const onAbort = () => void this.cancel(id).catch((error) => this.#announcer.tell('error', error))
    signal?.addEventListener('abort', onAbort, { once: true })
    const done = this.#enqueue(() => this.#run(id, request, cancel.signal)).finally(() => {
      signal?.removeEventListener('abort', onAbort)
      this.#cancels.delete(id)
    })
    done.catch(() => undefined)
    if (signal?.aborted) onAbort()
    return { id, done }
  }

  /** What this migrator has done so far: live, not a copy. */
  get counts(): MigrationCounts {
    return this.#office.tally
  }

  /** The resharding under way, or else the last one. */
  progress(): ReshardingProgress | undefined {
    const progress = this.#boards.last?.progress()
    return progress && { ...progress, paused: this.#office.standstill.wanted }
  }

  /** Copies nothing more until `resume`. What is past the copy is finished. False if it stands still already. */
  pause(): boolean {
    return this.#office.standstill.begin()
  }

  resume(): boolean {
    return this.#office.standstill.end()
  }

  /**
   * Undoes what has not been cut over, here or in the process that carries it out; what has been is finished, and stays.
   * False if there is no such plan.
   */
  async cancel(id: string): Promise<boolean> {
    const { gate, known } = this.#office
    const own = this.#cancels.get(id)
    own?.abort(cancelled())
    await gate.askTopology(() => known.refresh())
    const { plan } = known
    if (plan?.id !== id) return own !== undefined
    await gate.askTopology((topology) =>
      topology.commit({ plan: { ...plan, cancelled: true }, expect: { plan: id } }),
    )
    return true
  }

  /** One look around: finishes, or undoes, a plan that was left unfinished, and purges what is due. */
  steward(): Promise<StewardReport> {
    if (this.#stop.signal.aborted) return Promise.reject(closed())
    // Purges need not wait for a plan that takes hours.
    if (this.#cancels.size > 0) return this.#purgeDue().then((purged) => ({ report: undefined, purged }))
    return this.#enqueue(async () => {
      await this.#office.gate.askTopology(() => this.#office.known.refresh())
      const report = await this.#takeOver()
      return { report, purged: await this.#purgeDue() }
    })
  }

  /**
   * Compares shards that came back as others than they were, and makes them fit to serve, also in the midst of a plan.
   * False: another process has the lease, and should be about to do it.
   * @throws SHARD_MISMATCH, FENCE_CONFLICT where that must not be done; SHARD_UNAVAILABLE where it cannot be done now.
   */
  rescue(): Promise<boolean> {
    if (this.#stop.signal.aborted) return Promise.reject(closed())
    this.#rescuing ??= this.#rescue().finally(() => {
      this.#rescuing = undefined
    })
    return this.#rescuing
  }

  async #rescue(): Promise<boolean> {
    const done = await this.#tenures.underLease(async (tenure) => ({
      report: await tenure.rescue(await this.#incarnations()),
    }))
    if (done?.report) this.#announcer.tell('rescue', done.report)
    return done !== undefined
  }

  /** Looks around every `pollMs`, each process at a pace of its own, until it is closed. */
  start(): void {
    if (this.#stopPolling || this.#stop.signal.aborted) return
    let idle = true
    this.#stopPolling = this.#office.clock.every(this.#pollMs * (0.75 + 0.5 * this.#random()), () => {
      if (!idle) return
      idle = false
      this.steward()
        .catch((error) => {
          if (!this.#stop.signal.aborted) this.#announcer.tell('error', error)
        })
        .finally(() => {
          idle = true
        })
    })
  }

  /** Stops between two steps, undoes nothing, and gives the lease back: others go on from what stands. */
  async close(): Promise<void> {
    this.#stop.abort(new Stop('closed'))
    this.#stopPolling?.()
    await this.#queue
    await this.#rescuing?.catch(() => undefined)
    await this.#office.known.idle()
    this.#unfollow()
  }

  #crash(cause: unknown): void {
    this.#stop.abort(new Stop('crashed', cause))
    this.#stopPolling?.()
    this.#lease.forget()
  }

  #enqueue<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(task).catch((error) => {
      throw error instanceof Stop && error.why === 'closed' ? closed() : error
    })
    this.#queue = result.catch(() => undefined)
    return result
  }

  async #run(id: string, request: PlanRequest, cancel: AbortSignal): Promise<ReshardingReport> {
    const draft = this.#planned(request, id, () => '')
    let board = this.#boards.open(draft, 'waiting')
    let plan: PlanEntry | undefined
    for (let tries = 1; ; tries++) {
      // Another was faster, or has the lease that this process takes for its own: not for long, but not only now.
      const tenure = await this.#tenures.awaited(plan ? undefined : cancel, tries > 1)
      if (!tenure) return this.#boards.refused(board, draft, cancelled())
      try {
        const standing = await tenure.standing()
        if (!plan) {
          const left = standing ? await this.#finish(standing, tenure) : []
          const next = this.#planned(
            request,
            id,
            (segment) => this.#office.known.assigned(segment)?.shard,
            left,
          )
          const refusal = refusalOf(next, this.#office.known.shards)
          if (refusal) return this.#boards.refused(board, draft, refusal)
          if (!(await tenure.begin(next))) continue
          plan = next
          board = this.#boards.open(plan, 'running')
          this.#announcer.tell('plan', { id, phase: 'begun' })
          await tenure.carryOut(plan, board, false)
        } else {
          board.reopen()
          if (standing?.id === id) await tenure.carryOut(standing, board, true)
          else readOff(plan, this.#office.known, board)
        }
        return this.#boards.ended(board)
      } catch (error) {
        // The plan stands in the topology: whoever has the lease next goes on, be it this process.
        if (error instanceof Stop && error.why === 'lease lost') continue
        if (error instanceof Stop) throw error
        // The plan stands as well; but whoever asked for it has to hear of a fault in the program.
        if (isMistake(error)) throw error
        this.#announcer.tell('error', error)
        if (!plan) return this.#boards.refused(board, draft, error)
        return this.#boards.failed(board, error)
      } finally {
        await tenure.release()
      }
    }
  }

  #planned(
    request: PlanRequest,
    id: string,
    whereIs: (segment: SegmentId) => ShardId | undefined,
    left: readonly MoveEntry[] = [],
  ): PlanEntry {
    const { clock, bucketOf } = this.#office
    return planEntry(request, id, clock.now(), whereIs, (segment) => bucketSegment(bucketOf(segment)), left)
  }

  async #takeOver(): Promise<ReshardingReport | undefined> {
    const { known, clock } = this.#office
    if (!known.plan) this.#stuck = undefined
    if (!known.plan || (this.#stuck?.id === known.plan.id && clock.now() < this.#stuck.until))
      return undefined
    return this.#tenures.underLease(async (tenure) => {
      const standing = await tenure.standing()
      if (!standing) return undefined
      const left = await this.#finish(standing, tenure)
      const waitMs = Math.min(LONGEST_WAIT_MS, 2 * (this.#stuck?.waitMs ?? this.#pollMs))
      this.#stuck =
        left.length > 0
          ? { id: known.plan?.id ?? standing.id, until: clock.now() + waitMs, waitMs }
          : undefined
      return this.#boards.last?.report()
    })
  }

  /** Finishes a plan of which another process may have carried out a part. */
  async #finish(plan: PlanEntry, tenure: Tenure): Promise<MoveEntry[]> {
    const board = this.#boards.open(plan, 'running')
    this.#announcer.tell('plan', { id: plan.id, phase: 'taken over' })
    const left = await tenure.carryOut(plan, board, true)
    this.#boards.ended(board)
    return left
  }

  async #purgeDue(): Promise<number> {
    const { known, clock } = this.#office
    if (![...known.retained].some((it) => it.until <= clock.now())) return 0
    return (await this.#tenures.underLease((tenure) => tenure.purgeDue())) ?? 0
  }

  /** Others may have cancelled what is carried out here. */
  #heed(): void {
    const { plan } = this.#office.known
    if (plan?.cancelled) this.#cancels.get(plan.id)?.abort(cancelled())
  }
}

function closed(): ForeshardError {
  return new ForeshardError(ErrorCode.CLOSED, 'the migrator was closed')
}
