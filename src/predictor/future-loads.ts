import type { Random } from '../clock'
import { Bootstrap, type Judgement } from './confidence'
import type { Pace } from './pace'
import type { Objective } from './prediction'
import type { Scenarios } from './scenarios'

/** A move as it is judged: all items that go from one shard to another together. */
export interface Proposal {
  readonly items: readonly number[]
  readonly from: number
  readonly to: number
  /** Crossing removed minus churn, in J, and how unsure that is. */
  readonly fixedGain: number
  readonly deviation: number
}

export interface PlanJudgement {
  readonly whole: Judgement
  /** Per move: against the placement as it is, and against the whole plan without it. */
  readonly alone: readonly Judgement[]
  readonly last: readonly Judgement[]
}

/** Items between two rests. */
const BLOCK = 256

/** What the shards carry in each scenario, under the placement as it is and with moves. */
export class FutureLoads {
  readonly horizon: number
  readonly #scenarios: Scenarios
  readonly #weights: readonly number[]
  /** (scenario · horizon + step) · shards + shard. */
  readonly #loads: Float64Array
  readonly #vector: Float64Array

  private constructor(scenarios: Scenarios, weights: readonly number[]) {
    this.#scenarios = scenarios
    this.#weights = weights
    this.horizon = scenarios.horizon
    this.#loads = new Float64Array(scenarios.count * this.horizon * weights.length)
    this.#vector = new Float64Array(this.horizon)
  }

  static async of(
    scenarios: Scenarios,
    shardOf: Int32Array,
    weights: readonly number[],
    pace: Pace,
  ): Promise<FutureLoads> {
    const it = new FutureLoads(scenarios, weights)
    const n = weights.length
    for (let item = 0; item < shardOf.length; item++) {
      const shard = shardOf[item]!
      for (let f = 0; f < scenarios.count; f++) {
        scenarios.loads(f, item, it.#vector)
        for (let h = 0; h < it.horizon; h++) it.#loads[(f * it.horizon + h) * n + shard]! += it.#vector[h]!
      }
      if (item % BLOCK === 0) await pace.rest()
    }
    return it
  }

  /**
   * By step: how far a shard's load lies from its forecast, relative to its fair share, as a standard deviation; what all shards have in
   * common is left out. Averaged with the steps beside it.
   */
  noise(): Float64Array {
    const n = this.#weights.length
    const { drawn } = this.#scenarios
    const capacity = this.#weights.reduce((sum, weight) => sum + weight, 0)
    const squares = new Float64Array(this.horizon)
    const counts = new Float64Array(this.horizon)
    for (let h = 0; h < this.horizon; h++)
      for (let s = 0; s < n; s++) {
        let sum = 0
        let square = 0
        let seen = 0
        for (let f = 0; f < drawn; f++) {
          const at = (f * this.horizon + h) * n
          let total = 0
          for (let k = 0; k < n; k++) total += this.#loads[at + k]!
          if (total === 0) continue
          const relative = (this.#loads[at + s]! / total) * (capacity / this.#weights[s]!)
          sum += relative
          square += relative * relative
          seen++
        }
        if (seen === 0) continue
        squares[h]! += Math.max(0, square / seen - (sum / seen) ** 2)
        counts[h]!++
      }
    return squares.map((_, h) => {
      let sum = 0
      let count = 0
      for (let k = Math.max(0, h - 1); k <= Math.min(this.horizon - 1, h + 1); k++) {
        sum += squares[k]!
        count += counts[k]!
      }
      return count > 0 ? Math.sqrt(sum / count) : 0
    })
  }

  /** Mean imbalance over all scenarios with these moves, and without any. */
  imbalance(moves: readonly Proposal[]): { before: number; after: number } {
    const before = this.#peaks(this.#loads)
    const after = this.#peaks(this.#moved(this.#loads.slice(), moves, 1))
    const { chances } = this.#scenarios
    const mean = (peaks: Float64Array) => {
      let sum = 0
      let seen = 0
      peaks.forEach((peak, k) => {
        if (peak === 0) return
        sum += chances[Math.floor(k / this.horizon)]! * peak
        seen += chances[Math.floor(k / this.horizon)]!
      })
      return seen > 0 ? sum / seen : 1
    }
    return { before: mean(before), after: mean(after) }
  }

  async judge(
    moves: readonly Proposal[],
    objective: Objective,
    random: Random,
    pace: Pace,
  ): Promise<PlanJudgement> {
    const before = this.#peaks(this.#loads)
    const loads = this.#moved(this.#loads.slice(), moves, 1)
    const after = this.#peaks(loads)
    const sampler = new Bootstrap(this.#scenarios, objective, random)
    const whole = sampler.judge({
      without: before,
      with: after,
      fixedGain: moves.reduce((sum, move) => sum + move.fixedGain, 0),
      deviation: Math.sqrt(moves.reduce((sum, move) => sum + move.deviation ** 2, 0)),
    })
    const alone: Judgement[] = []
    const last: Judgement[] = []
    for (const move of moves) {
      const { fixedGain, deviation, from, to } = move
      const vector = this.#vectorOf(move)
      const single = this.#shifted(this.#loads, vector, from, to)
      alone.push(sampler.judge({ without: before, with: single, fixedGain, deviation }))
      const rest = this.#shifted(loads, vector, to, from)
      last.push(sampler.judge({ without: rest, with: after, fixedGain, deviation }))
      const pause = pace.rest()
      if (pause) await pause
    }
    return { whole, alone, last }
  }

  /** Loads of all items of a move, by scenario and step. */
  #vectorOf({ items }: Proposal): Float64Array {
    const { count } = this.#scenarios
    const vector = new Float64Array(count * this.horizon)
    for (const item of items)
      for (let f = 0; f < count; f++) {
        this.#scenarios.loads(f, item, this.#vector)
        for (let h = 0; h < this.horizon; h++) vector[f * this.horizon + h]! += this.#vector[h]!
      }
    return vector
  }

  #moved(loads: Float64Array, moves: readonly Proposal[], sign: 1 | -1): Float64Array {
    const n = this.#weights.length
    for (const move of moves) {
      if (move.from === move.to) continue
      this.#vectorOf(move).forEach((load, k) => {
        loads[k * n + move.from]! -= sign * load
        loads[k * n + move.to]! += sign * load
      })
    }
    return loads
  }

  #peaks(loads: Float64Array): Float64Array {
    return this.#shifted(loads, undefined, 0, 0)
  }

  /** By scenario and step, max over mean of the loads, after `vector` has gone from one shard to another. */
  #shifted(loads: Float64Array, vector: Float64Array | undefined, from: number, to: number): Float64Array {
    const weights = this.#weights
    const n = weights.length
    const peaks = new Float64Array(this.#scenarios.count * this.horizon)
    let capacity = 0
    for (let s = 0; s < n; s++) capacity += weights[s]!
    for (let k = 0; k < peaks.length; k++) {
      const shift = vector === undefined || from === to ? 0 : vector[k]!
      let total = 0
      let max = 0
      for (let s = 0; s < n; s++) {
        const own = loads[k * n + s]!
        total += own
        const relative = (s === from ? own - shift : s === to ? own + shift : own) / weights[s]!
        if (relative > max) max = relative
      }
      peaks[k] = total > 0 ? (max * capacity) / total : 0
    }
    return peaks
  }
}
