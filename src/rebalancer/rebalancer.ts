import { EventEmitter } from 'eventemitter3'
import { type Clock, systemClock } from '../clock'
import { ErrorCode, isForeshardError } from '../errors'
import type { MaintenanceWindows } from '../maintenance-window'
import { checkEvent, type Fields } from '../options'
import type { Placement } from '../placement/assignment'
import type { MoveBudget, ShardAssignmentPrediction } from '../predictor/prediction'
import type { AcceptedResharding, Resharding } from '../router/resharding'
import type { AccessLogEntry } from '../tracking/access-log'
import { Counts, type RebalancerMetrics } from './counts'
import { type DailyAccount, type Spending, stricter } from './daily-budget'
import { type DecisionRules, decide, type Go, notNow, type Skip, skip } from './decision'
import {
  checkOptions,
  type RebalancedRouter,
  type RebalancerMode,
  type RebalancerOptions,
  type RebalancingPredictor,
} from './options'
import { autoReason } from './own-reshardings'
import { type Regret, Reviewer } from './reviewer'

/** What a round came to. */
export type Round = Skip | (Go & { readonly recommendation: Recommendation })

export interface Recommendation {
  readonly prediction: ShardAssignmentPrediction
  /** The placement that it is made for. */
  readonly placement: Placement
  readonly decision: Go
  /** Hands it to the router. A second call gives the same answer. */
  accept(): Promise<Resharding>
  /** Not now: nothing is recommended until the cool-down is over. */
  reject(): void
}

/** A resharding of its own turned out worse than the placement before it, and is being undone. */
export interface RollbackEvent {
  /** Of the rollback. */
  readonly id: string
  /** The resharding that it goes back behind. */
  readonly to: string
  /** What J was higher by, mean over the last intervals, and half of its interval. */
  readonly loss: number
  readonly interval: number
  readonly reason: string
}

export interface RebalancerEvents {
  /** Something is worth moving. In mode auto it is being accepted already. */
  recommendation: [recommendation: Recommendation]
  /** A resharding was handed over. */
  resharding: [event: { readonly id: string; readonly recommendation: Recommendation }]
  /** A round in which nothing was handed over, and why. */
  skipped: [skip: Skip]
  /** A resharding that was handed over has ended. */
  finished: [report: ReshardingOutcome]
  /** A resharding was undone because J had risen. */
  rollback: [event: RollbackEvent]
  error: [error: unknown]
}

const EVENTS: Fields<RebalancerEvents> = {
  recommendation: true,
  resharding: true,
  skipped: true,
  finished: true,
  rollback: true,
  error: true,
}

export type ReshardingOutcome = Awaited<AcceptedResharding['done']>

const STOPPED = skip('stopped', 'the rebalancer was stopped')

/**
 * The loop between a router and a predictor: accesses go one way, reshardings the other, one at a time. It decides
 * when to ask and whether to act; what to move is the predictor's business, and moving is the router's.
 */
export class Rebalancer extends EventEmitter<RebalancerEvents> {
  readonly mode: RebalancerMode
  readonly #router: RebalancedRouter
  readonly #predictor: RebalancingPredictor
  readonly #rules: DecisionRules
  readonly #intervalMs: number
  readonly #horizonMs: number
  readonly #budget: MoveBudget | undefined
  readonly #migration: RebalancerOptions['migration']
  readonly #windows: MaintenanceWindows
  readonly #account: DailyAccount
  readonly #clock: Clock
  readonly #reviewer: Reviewer | undefined
  readonly #counts = new Counts()
  /** Ends what `start` began; empty while it stands still. */
  #running: (() => void)[] = []
  #stopped = false
  #round: Promise<Round> | undefined
  /** Reshardings that were handed over and have not ended. */
  #handedOver = 0
  #quietSince = Number.NEGATIVE_INFINITY

  constructor(options: RebalancerOptions) {
    super()
    const checked = checkOptions(options)
    this.mode = checked.mode
    this.#router = options.router
    this.#predictor = options.predictor
    this.#rules = checked.rules
    this.#intervalMs = checked.intervalMs
    this.#horizonMs = checked.horizonMs
    this.#budget = options.budget
    this.#migration = options.migration
    this.#windows = checked.windows
    this.#account = checked.account
    this.#clock = options.clock ?? systemClock
    this.#reviewer = checked.review && new Reviewer(this.#router, this.#predictor, checked.review)
  }

  /** Whether it undoes by itself what turns out worse. */
  get rollsBack(): boolean {
    return this.#reviewer !== undefined
  }

  get metrics(): RebalancerMetrics {
    return this.#counts.read()
  }

  /** What was handed over in the last 24 hours: kept by whoever restarts it, and given back as `spent`. */
  get spent(): readonly Spending[] {
    return [...this.#account.spent(this.#clock.now())]
  }

  get started(): boolean {
    return this.#running.length > 0
  }

  override on<E extends keyof RebalancerEvents>(event: E, fn: (...args: RebalancerEvents[E]) => void): this {
    checkEvent(event, fn, EVENTS)
    return super.on(event, fn as never)
  }

  override once<E extends keyof RebalancerEvents>(
    event: E,
    fn: (...args: RebalancerEvents[E]) => void,
  ): this {
    checkEvent(event, fn, EVENTS)
    return super.once(event, fn as never)
  }

  /** Shows the predictor every access of the router, and makes a round an interval. Starting twice is starting once. */
  start(): this {
    if (this.started) return this
    this.#stopped = false
    this.#running = [
      this.#router.observe((entry) => this.#record(entry)),
      this.#clock.every(this.#intervalMs, () => void this.tick()),
    ]
    return this
  }

  /**
   * Ends that. A round under way is waited for, and hands nothing over any more; a resharding that was handed over
   * is the router's, and goes on.
   */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const end of this.#running.splice(0)) end()
    await this.#round
  }

  /**
   * One round: what was decided, and why. Never rejects: a failure is an 'error' event and a round that was skipped.
   * While a round is under way, another call joins it.
   */
  tick(): Promise<Round> {
    this.#round ??= this.#tick().finally(() => {
      this.#round = undefined
    })
    return this.#round
  }

  async #tick(): Promise<Round> {
    try {
      const round = await this.#decide()
      if (!round.act) this.#skipped(round)
      return round
    } catch (error) {
      if (isForeshardError(error, ErrorCode.PREDICTOR_UNAVAILABLE)) {
        // Nothing is wrong here: recommendations pause until it is back.
        const away = skip('predictor-unavailable', error.message)
        this.#tell('skipped', away)
        return away
      }
      this.#tell('error', error)
      const failed = skip('failed', error instanceof Error ? error.message : String(error))
      this.#skipped(failed)
      return failed
    }
  }

  async #decide(): Promise<Round> {
    if (this.#stopped) return STOPPED
    if (this.mode === 'observe')
      return skip('observing', 'the mode is observe: accesses are recorded, no more')
    const now = this.#clock.now()
    const inFlight = this.#inFlight()
    if (inFlight) this.#quietSince = now
    const undone = this.#reviewer && !inFlight && (await this.#review(this.#reviewer, now))
    if (undone) return undone
    if (this.#stopped) return STOPPED
    const rest = notNow(this.#rules, { now, reshardingInFlight: inFlight, quietSince: this.#quietSince })
    if (rest) return rest
    const closed = this.#closed(now)
    if (closed) return skip('outside-windows', closed)
    const left = this.#account.left(now)
    if (left && Object.values(left).includes(0))
      return skip('budget-spent', `the budget of the day is spent: ${JSON.stringify(left)} are left`)

    const placement = this.#router.placement
    const prediction = await this.#predictor.predict({
      placement,
      horizonMs: this.#horizonMs,
      budget: stricter(this.#budget, left),
      now,
    })
    this.#counts.last = { confidence: prediction.confidence, expected: prediction.expected }
    const decision = decide(prediction, this.#rules)
    if (!decision.act) return decision
    if (this.#stopped) return STOPPED
    const exceeded = this.#account.exceededBy(spendingOf(prediction, now))
    if (exceeded) return skip('budget-spent', exceeded)
    // Predicting takes its time, in which somebody else may have started a resharding.
    if (this.#inFlight())
      return skip('resharding-in-flight', 'a resharding began while this was thought about')
    const recommendation = this.#recommendation(prediction, placement, decision)
    this.#counts.recommendations++
    this.#tell('recommendation', recommendation)
    if (this.mode === 'auto') {
      const resharding = await recommendation.accept()
      if (!resharding.accepted) return skip('refused', resharding.reason)
    }
    return { ...decision, recommendation }
  }

  /** Looks back at what was decided here; the skip of a round in which something was undone, or that comes too early after that. */
  async #review(reviewer: Reviewer, now: number): Promise<Skip | undefined> {
    const { regret, probation, lastAt, restUntil } = await reviewer.review(now)
    this.#counts.probation = probation
    // What ended later than now was told by another clock: one that runs ahead, or one of a log that is replayed. Nobody rests for
    // that, or each round would begin the rest anew.
    if (lastAt <= now) this.#quietSince = Math.max(this.#quietSince, lastAt)
    if (this.#stopped) return STOPPED
    if (regret) {
      if (this.#inFlight())
        return skip('resharding-in-flight', 'a resharding began while this was thought about')
      return this.#undo(reviewer, regret, now)
    }
    const restMs = restUntil - now
    return restMs > 0
      ? skip('cooling-down', `${Math.ceil(restMs)} ms of the rest after a rollback are left`)
      : undefined
  }

  async #undo(reviewer: Reviewer, regret: Regret, now: number): Promise<Skip> {
    const { to, last, verdict } = regret
    this.#handedOver++
    let resharding: Resharding
    try {
      resharding = await this.#router.rollback!({ ...this.#migration, to, last })
    } catch (error) {
      this.#handedOver--
      if (!isForeshardError(error, ErrorCode.LEASE_HELD)) throw error
      return skip('refused', error.message)
    }
    if (!resharding.accepted) {
      this.#handedOver--
      return skip('refused', `rollback to before ${to}: ${resharding.reason}`)
    }
    const reason = `rolled back to before ${to}: ${verdict.reason}`
    this.#counts.rollbacks++
    this.#counts.probation = undefined
    this.#tell('rollback', {
      id: resharding.id,
      to,
      loss: verdict.loss,
      interval: verdict.interval,
      reason,
    })
    this.#follow(resharding)
    try {
      await reviewer.conclude(regret, now)
    } catch (error) {
      this.#tell('error', error)
    }
    return skip('rolled-back', reason)
  }

  #skipped(round: Skip): void {
    this.#counts.skip(round.because)
    this.#tell('skipped', round)
  }

  /** Why nothing is moved now; undefined inside a maintenance window. */
  #closed(now: number): string | undefined {
    if (this.#windows.isOpen(now)) return undefined
    const opens = this.#windows.opensAt(now)
    return `no maintenance window is open; the next one begins ${opens === undefined ? 'never' : `at ${new Date(opens).toISOString()}`}`
  }

  #inFlight(): boolean {
    const progress = this.#router.monitorReshardingProgress()
    return this.#handedOver > 0 || (progress !== undefined && progress.phase !== 'done')
  }

  #recommendation(prediction: ShardAssignmentPrediction, placement: Placement, decision: Go): Recommendation {
    let answer: Promise<Resharding> | undefined
    const recommendation: Recommendation = {
      prediction,
      placement,
      decision,
      accept: () => {
        answer ??= this.#handOver(recommendation)
        return answer
      },
      reject: () => {
        if (answer) return
        answer = Promise.resolve({ accepted: false, reason: 'the recommendation was rejected' })
        this.#quietSince = this.#clock.now()
      },
    }
    return recommendation
  }

  async #handOver(recommendation: Recommendation): Promise<Resharding> {
    const { prediction, placement, decision } = recommendation
    // It may have been accepted long after it was made.
    const now = this.#clock.now()
    const refused = this.#closed(now) ?? this.#account.exceededBy(spendingOf(prediction, now))
    if (refused) return { accepted: false, reason: refused }
    const takeBack = this.#account.spend(spendingOf(prediction, now))
    this.#handedOver++
    let resharding: Resharding
    try {
      const { shardAssignmentMap: map, merges, confidence } = prediction
      // Tags that are folded back need no forecast to come true.
      resharding = await this.#router.requestResharding(map.size > 0 ? confidence : 1, map, {
        ...this.#migration,
        placement,
        merge: merges,
        reason: this.mode === 'auto' ? autoReason(decision.reason) : decision.reason,
      })
    } catch (error) {
      this.#handedOver--
      takeBack()
      // Another process migrates: that is no failure of this one.
      if (!isForeshardError(error, ErrorCode.LEASE_HELD)) throw error
      return { accepted: false, reason: error.message }
    }
    if (!resharding.accepted) {
      this.#handedOver--
      takeBack()
      return resharding
    }
    this.#counts.reshardings++
    this.#tell('resharding', { id: resharding.id, recommendation })
    this.#follow(resharding)
    return resharding
  }

  #follow(resharding: AcceptedResharding): void {
    void resharding.done
      .then(
        (report) => this.#tell('finished', report),
        (error) => this.#tell('error', error),
      )
      .finally(() => {
        this.#handedOver--
        this.#quietSince = this.#clock.now()
      })
  }

  /** Recording stands outside the data path: what fails here is told and ends here. */
  #record(entry: AccessLogEntry): void {
    try {
      const recorded = this.#predictor.record(entry)
      if (recorded instanceof Promise) recorded.catch((error) => this.#tell('error', error))
    } catch (error) {
      this.#tell('error', error)
    }
  }

  /** A listener that throws must not end the round. */
  #tell<E extends keyof RebalancerEvents>(event: E, value: RebalancerEvents[E][0]): void {
    if (event === 'error') this.#counts.errors++
    try {
      this.emit(event, ...([value] as never))
    } catch (error) {
      if (event !== 'error') this.#tell('error', error)
    }
  }
}

function spendingOf({ shardAssignmentMap, expected }: ShardAssignmentPrediction, at: number): Spending {
  return {
    at,
    moves: shardAssignmentMap.size,
    loadShare: expected.loadMoved || 0,
    bytes: expected.bytesMoved || 0,
  }
}
