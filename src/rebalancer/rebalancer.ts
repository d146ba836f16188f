import { EventEmitter } from 'eventemitter3'
import { type Clock, systemClock } from '../clock'
import { ErrorCode, isForeshardError } from '../errors'
import { checkEvent, type Fields } from '../options'
import type { Placement } from '../placement/assignment'
import type { MoveBudget, ShardAssignmentPrediction } from '../predictor/prediction'
import type { AcceptedResharding, Resharding } from '../router/resharding'
import type { AccessLogEntry } from '../tracking/access-log'
import { type DecisionRules, decide, type Go, notNow, type Skip, skip } from './decision'
import {
  checkOptions,
  type RebalancedRouter,
  type RebalancerMode,
  type RebalancerOptions,
  type RebalancingPredictor,
} from './options'

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

export interface RebalancerEvents {
  /** Something is worth moving. In mode auto it is being accepted already. */
  recommendation: [recommendation: Recommendation]
  /** A resharding was handed over. */
  resharding: [event: { readonly id: string; readonly recommendation: Recommendation }]
  /** A round in which nothing was handed over, and why. */
  skipped: [skip: Skip]
  /** A resharding that was handed over has ended. */
  finished: [report: ReshardingOutcome]
  error: [error: unknown]
}

const EVENTS: Fields<RebalancerEvents> = {
  recommendation: true,
  resharding: true,
  skipped: true,
  finished: true,
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
  readonly #clock: Clock
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
    this.#clock = options.clock ?? systemClock
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
      if (!round.act) this.#tell('skipped', round)
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
      this.#tell('skipped', failed)
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
    const rest = notNow(this.#rules, { now, reshardingInFlight: inFlight, quietSince: this.#quietSince })
    if (rest) return rest

    const placement = this.#router.placement
    const prediction = await this.#predictor.predict({
      placement,
      horizonMs: this.#horizonMs,
      budget: this.#budget,
      now,
    })
    const decision = decide(prediction, this.#rules)
    if (!decision.act) return decision
    if (this.#stopped) return STOPPED
    // Predicting takes its time, in which somebody else may have started a resharding.
    if (this.#inFlight())
      return skip('resharding-in-flight', 'a resharding began while this was thought about')
    const recommendation = this.#recommendation(prediction, placement, decision)
    this.#tell('recommendation', recommendation)
    if (this.mode === 'auto') {
      const resharding = await recommendation.accept()
      if (!resharding.accepted) return skip('refused', resharding.reason)
    }
    return { ...decision, recommendation }
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
    this.#handedOver++
    let resharding: Resharding
    try {
      const { shardAssignmentMap: map, merges, confidence } = prediction
      // Tags that are folded back need no forecast to come true.
      resharding = await this.#router.requestResharding(map.size > 0 ? confidence : 1, map, {
        ...this.#migration,
        placement,
        merge: merges,
        reason: decision.reason,
      })
    } catch (error) {
      this.#handedOver--
      // Another process migrates: that is no failure of this one.
      if (!isForeshardError(error, ErrorCode.LEASE_HELD)) throw error
      return { accepted: false, reason: error.message }
    }
    if (!resharding.accepted) {
      this.#handedOver--
      return resharding
    }
    this.#tell('resharding', { id: resharding.id, recommendation })
    void resharding.done
      .then(
        (report) => this.#tell('finished', report),
        (error) => this.#tell('error', error),
      )
      .finally(() => {
        this.#handedOver--
        this.#quietSince = this.#clock.now()
      })
    return resharding
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
    try {
      this.emit(event, ...([value] as never))
    } catch (error) {
      if (event !== 'error') this.#tell('error', error)
    }
  }
}
