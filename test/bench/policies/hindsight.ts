import type { Placement } from '../../../src/placement/assignment'
import { bucketOfSegment, type SegmentId, tagOfSegment } from '../../../src/placement/segment'
import { loadOf, peakOf } from '../../../src/predictor/objective'
import { DEFAULT_OBJECTIVE, type ShardAssignmentPrediction } from '../../../src/predictor/prediction'
import type { PolicyStep } from '../../../src/rebalancer/policies/placement-policy'
import type { AccessLogEntry } from '../../../src/tracking/access-log'
import type { Scored } from './reliability'

/** What a log says about one interval: loads by tag, and the tags of each transaction over two keys or more. */
interface Seen {
  readonly loads: Map<string, number>
  readonly transactions: Map<string, { tags: Set<string>; keys: Set<string> }>
}

const { churn: CHURN, crossing: CROSSING, imbalance: IMBALANCE, writeWeight: WRITE } = DEFAULT_OBJECTIVE

/** The whole log, so that recommendations can be held against what came of them. Shares no code with the planner. */
export class Hindsight {
  readonly #intervals = new Map<number, Seen>()
  readonly #intervalMs: number

  constructor(entries: readonly AccessLogEntry[], intervalMs: number, tagOf: (key: string) => string) {
    this.#intervalMs = intervalMs
    for (const { timestamp, key, operation, count = 1, transactionId } of entries) {
      const index = Math.floor(timestamp / intervalMs)
      const seen: Seen = this.#intervals.get(index) ?? { loads: new Map(), transactions: new Map() }
      this.#intervals.set(index, seen)
      const tag = tagOf(key)
      seen.loads.set(tag, (seen.loads.get(tag) ?? 0) + loadOf(operation, count, WRITE))
      if (!transactionId) continue
      const transaction = seen.transactions.get(transactionId)
      if (transaction) {
        transaction.tags.add(tag)
        transaction.keys.add(key)
      } else seen.transactions.set(transactionId, { tags: new Set([tag]), keys: new Set([key]) })
    }
  }

  /**
   * Whether J over the horizon was lower with each move than without it: alone on the placement as it was, and as the last of the map;
   * and with the whole map. Undefined where the log ends before the horizon does, or nothing was accessed in it.
   */
  judge({ shardAssignmentMap, confidenceScores, confidence }: ShardAssignmentPrediction, step: PolicyStep) {
    const first = Math.floor(step.now / this.#intervalMs)
    const horizon = step.horizonMs / this.#intervalMs
    const seen = Array.from({ length: horizon }, (_, h) => this.#intervals.get(first + h))
    if (shardAssignmentMap.size === 0 || !this.#intervals.has(first + horizon - 1)) return undefined
    const outcome = new Outcome(seen, step.placement)
    const whole = step.placement.with(shardAssignmentMap)
    const before = outcome.J()
    const alone: Scored[] = []
    for (const [segment, shard] of shardAssignmentMap) {
      const moved = outcome.move(step.placement.with(new Map([[segment, shard]])), segment)
      alone.push({ score: confidenceScores.get(segment)!, held: outcome.J(moved) < before })
      outcome.move(step.placement, segment)
    }
    const moved = new Set<string>()
    for (const segment of shardAssignmentMap.keys())
      for (const tag of outcome.move(whole, segment)) moved.add(tag)
    const after = outcome.J(moved)
    const last: Scored[] = []
    for (const segment of shardAssignmentMap.keys()) {
      const rest = new Map(shardAssignmentMap)
      rest.delete(segment)
      const back = outcome.move(step.placement.with(rest), segment)
      const kept = new Set([...moved].filter((tag) => !back.includes(tag)))
      last.push({ score: confidenceScores.get(segment)!, held: after < outcome.J(kept) })
      outcome.move(whole, segment)
    }
    return { alone, last, whole: { score: confidence, held: after < before } }
  }
}

/** Some intervals under a placement that changes. */
class Outcome {
  readonly #seen: readonly (Seen | undefined)[]
  readonly #shards: readonly string[]
  readonly #weights: number[]
  readonly #inBucket = new Map<number, string[]>()
  readonly #ownerOf = new Map<string, number>()
  readonly #loads: Float64Array[]
  readonly #total: number

  constructor(seen: readonly (Seen | undefined)[], placement: Placement) {
    this.#seen = seen
    this.#shards = placement.shards
    this.#weights = placement.shards.map((shard) => placement.weightOf(shard))
    this.#loads = seen.map(() => new Float64Array(this.#shards.length))
    let total = 0
    seen.forEach((interval, h) => {
      for (const [tag, load] of interval?.loads ?? []) {
        let owner = this.#ownerOf.get(tag)
        if (owner === undefined) {
          owner = this.#shards.indexOf(placement.shardOf(`{${tag}}`))
          this.#ownerOf.set(tag, owner)
          const bucket = placement.bucketOfTag(tag)
          this.#inBucket.set(bucket, [...(this.#inBucket.get(bucket) ?? []), tag])
        }
        this.#loads[h]![owner]! += load
        total += load
      }
    })
    this.#total = total
  }

  /** Puts the tags of a segment where a placement has them; those that changed their shard. */
  move(placement: Placement, segment: SegmentId): string[] {
    const tag = tagOfSegment(segment)
    const tags = tag === undefined ? (this.#inBucket.get(bucketOfSegment(segment)!) ?? []) : [tag]
    return tags.filter((each) => {
      const from = this.#ownerOf.get(each)
      const to = this.#shards.indexOf(placement.shardOf(`{${each}}`))
      if (from === undefined || from === to) return false
      this.#ownerOf.set(each, to)
      this.#seen.forEach((interval, h) => {
        const load = interval?.loads.get(each) ?? 0
        this.#loads[h]![from]! -= load
        this.#loads[h]![to]! += load
      })
      return true
    })
  }

  /** J, where these tags count as moved. */
  J(moved: Iterable<string> = []): number {
    let imbalance = 0
    let intervals = 0
    for (const loads of this.#loads) {
      const peak = peakOf(loads, this.#weights)
      imbalance += peak
      if (peak > 0) intervals++
    }
    let load = 0
    for (const tag of moved) for (const interval of this.#seen) load += interval?.loads.get(tag) ?? 0
    const total = Math.max(this.#total, 1e-9)
    return (
      (IMBALANCE * imbalance) / Math.max(1, intervals) + CROSSING * this.#crossing() + (CHURN * load) / total
    )
  }

  #crossing(): number {
    let all = 0
    let crossing = 0
    for (const interval of this.#seen)
      for (const { tags, keys } of interval?.transactions.values() ?? []) {
        if (keys.size < 2) continue
        all++
        let first: number | undefined
        for (const tag of tags) {
          const owner = this.#ownerOf.get(tag)!
          first ??= owner
          if (owner !== first) {
            crossing++
            break
          }
        }
      }
    return all > 0 ? crossing / all : 0
  }
}
