import type { Clock } from '../../clock'
import type { ReshardingProgress } from '../../migrator/progress'
import type { Recommendation } from '../../rebalancer/rebalancer'
import { newestStanding } from '../../router/rollback'
import type { HistoryEntry } from '../../topology-store'
import type { DashboardState, LogLine, PastState, RecommendationState, ReshardingState } from './document'
import { EventLog } from './event-log'
import { imbalanceOf, LoadSampler } from './load-sampler'
import type { CheckedDashboardOptions } from './options'
import { Outlooks } from './outlooks'

const LOG_LINES = 200
const SAMPLES = 360
const KEPT_RECOMMENDATIONS = 5
const MOVES_SHOWN = 50
const HISTORY_SHOWN = 20

interface Kept {
  readonly recommendation: Recommendation
  shown: RecommendationState
}

/** Listens to a router, a predictor and a rebalancer, and keeps what the page shows; bounded, whatever happens. */
export class Feed {
  readonly outlooks: Outlooks | undefined
  readonly #it: CheckedDashboardOptions
  readonly #clock: Clock
  readonly #log = new EventLog(LOG_LINES)
  readonly #sampler = new LoadSampler(SAMPLES)
  readonly #kept: Kept[] = []
  readonly #ends: (() => void)[] = []
  #recommended = 0

  constructor(options: CheckedDashboardOptions) {
    this.#it = options
    this.#clock = options.clock
    const { predictor, router } = options
    const placement = () => router?.placement ?? predictor!().placement
    this.outlooks = predictor && new Outlooks(predictor, placement, options.clock)
    this.#listen()
    this.#sample()
    this.#ends.push(this.#clock.every(options.sampleMs, () => this.#sample()))
  }

  close(): void {
    for (const end of this.#ends.splice(0)) end()
  }

  note(kind: LogLine['kind'], text: string): void {
    this.#log.add(this.#clock.now(), kind, text)
  }

  recommendation(id: number): Recommendation | undefined {
    return this.#kept.find(({ shown }) => shown.id === id && shown.state === 'open')?.recommendation
  }

  /** What became of a recommendation. */
  settle(id: number, state: RecommendationState['state'], reason?: string): void {
    const kept = this.#kept.find(({ shown }) => shown.id === id)
    if (kept) kept.shown = { ...kept.shown, state, reason: reason ?? kept.shown.reason }
  }

  async state(mayAct: boolean): Promise<DashboardState> {
    const { router, rebalancer, title } = this.#it
    const { loads, refused } = this.#sampler.last
    const metrics = router?.metrics()
    const peaks = await this.outlooks?.peaks().catch(() => undefined)
    const total = [...loads.values()].reduce((sum, load) => sum + load, 0)
    const names = metrics?.shards.map(({ shard }) => shard) ?? [...(peaks?.keys() ?? [])]
    const measured = new Map(metrics?.shards.map((shard) => [shard.shard, shard]))
    const progress = router?.monitorReshardingProgress()
    const history = (await router?.history().catch(() => [])) ?? []
    return {
      at: this.#clock.now(),
      title,
      mode: rebalancer?.mode,
      mayAct,
      now: {
        imbalance: imbalanceOf([...loads.values()]),
        loadPerSecond: total,
        refusedPerSecond: refused,
        crossShard: this.#kept[0]?.shown.expected.crossShard.before,
        shards: names.map((shard) => ({
          shard,
          state: measured.get(shard)?.state ?? 'active',
          serves: measured.get(shard)?.serves ?? true,
          loadPerSecond: loads.get(shard) ?? 0,
          share: total > 0 ? (loads.get(shard) ?? 0) / total : 0,
          segments: measured.get(shard)?.segments ?? 0,
          peak: peaks?.get(shard),
          capacity: this.#it.capacities.get(shard),
          errors: measured.get(shard)?.errors ?? 0,
        })),
      },
      recent: this.#sampler.recent,
      recommendations: this.#kept.map(({ shown }) => shown),
      resharding: progress && progress.id !== '' ? shownProgress(progress) : undefined,
      history: shownHistory(history),
      log: this.#log.lines(),
    }
  }

  #sample(): void {
    const { router } = this.#it
    if (router) this.#sampler.take(this.#clock.now(), router.metrics().shards)
  }

  #listen(): void {
    const { router, rebalancer } = this.#it
    if (router) {
      const on: typeof router.on = (event, listener) => {
        router.on(event, listener)
        this.#ends.push(() => router.off(event, listener))
        return router
      }
      on('resharding', ({ id, moves, merges, reason }) =>
        this.note('resharding', `${id} begins: ${moves} moves, ${merges} merges. ${reason}`),
      )
      on('resharded', ({ id, outcome, moved, keysCopied, failed, longestHoldMs }) => {
        const first = failed[0] ? `; ${failed.length} failed, the first: ${failed[0].message}` : ''
        this.note(
          'resharding',
          `${id} ended (${outcome}): ${moved.length} segments, ${keysCopied} keys, longest hold ${Math.round(longestHoldMs)} ms${first}`,
        )
      })
      on('rescued', ({ shards }) =>
        this.note('rescued', `back and compared with their peers: ${shards.join(', ')}`),
      )
      on('error', (error) => this.note('error', messageOf(error)))
    }
    if (rebalancer) {
      const on = <E extends 'recommendation' | 'skipped' | 'resharding' | 'error'>(
        event: E,
        listener: Parameters<typeof rebalancer.on<E>>[1],
      ) => {
        rebalancer.on(event, listener)
        this.#ends.push(() => rebalancer.off(event, listener as never))
      }
      on('recommendation', (recommendation) => this.#keep(recommendation))
      on('resharding', ({ recommendation }) => {
        const kept = this.#kept.find((it) => it.recommendation === recommendation)
        if (kept) this.settle(kept.shown.id, 'accepted')
      })
      on('skipped', ({ reason }) => this.note('skipped', reason))
      on('error', (error) => this.note('error', messageOf(error)))
    }
  }

  #keep(recommendation: Recommendation): void {
    for (const { shown } of this.#kept) if (shown.state === 'open') this.settle(shown.id, 'superseded')
    const { prediction, placement, decision } = recommendation
    const moves = [...prediction.shardAssignmentMap]
    const shown: RecommendationState = {
      id: ++this.#recommended,
      at: this.#clock.now(),
      state: 'open',
      reason: decision.reason,
      confidence: prediction.confidence,
      expected: prediction.expected,
      triggers: prediction.triggers.slice(0, MOVES_SHOWN).map(({ message }) => message),
      moves: moves.slice(0, MOVES_SHOWN).map(([segment, to]) => ({
        segment,
        from: placement.assignmentOf(segment).shard,
        to,
        confidence: prediction.confidenceScores.get(segment),
        reason: prediction.reasons.get(segment) ?? '',
      })),
      more: Math.max(0, moves.length - MOVES_SHOWN),
      merges: prediction.merges.length,
    }
    this.#kept.unshift({ recommendation, shown })
    this.#kept.length = Math.min(this.#kept.length, KEPT_RECOMMENDATIONS)
    this.note(
      'recommendation',
      `${moves.length} moves, confidence ${prediction.confidence.toFixed(2)}. ${decision.reason}`,
    )
  }
}

function shownHistory(history: readonly HistoryEntry[]): PastState[] {
  const standing = newestStanding(history)
  const shown = history
    .slice(-HISTORY_SHOWN)
    .map(({ id, at, confidence, reason, before, carved, merged }) => ({
      id,
      at,
      confidence,
      reason,
      moved: before.length,
      carved: carved.length,
      merged: merged.length,
      standing: id === standing,
    }))
  return shown.reverse()
}

function shownProgress(progress: ReshardingProgress): ReshardingState {
  const { moves, waitingFor, ...rest } = progress
  // What is under way first, then what is to come, then what is done.
  const rank = (phase: string) => (phase === 'done' ? 2 : phase === 'waiting' ? 1 : 0)
  const sorted = [...moves].sort((a, b) => rank(a.phase) - rank(b.phase))
  return {
    ...rest,
    paused: progress.paused === true,
    pausedUntil: progress.pace?.pausedUntil,
    waitingFor: waitingFor.map(({ shard }) => shard),
    moves: sorted
      .slice(0, MOVES_SHOWN)
      .map(({ segment, from, to, phase, keysCopied, holds, retries, error }) => ({
        segment,
        from,
        to,
        phase,
        keysCopied,
        holds,
        retries,
        error: error?.message,
      })),
    more: Math.max(0, moves.length - MOVES_SHOWN),
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
