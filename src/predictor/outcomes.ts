import type { Calibration } from './calibration'
import { peakOf } from './objective'
import type { Objective } from './prediction'
import type { Recorder } from './recorder'

/** Predictions whose horizon is not over yet; the oldest is forgotten first. */
const PENDING = 32

/** A recommendation that waits for its horizon to pass. */
export interface Pending {
  readonly start: number
  readonly horizon: number
  readonly weights: readonly number[]
  /** bucket slot -> shard before the moves, -1 for none. */
  readonly slots: Int16Array
  /** Tags that are placed by themselves, before the moves. */
  readonly tags: readonly { tag: string; hash: number; shard: number }[]
  readonly moves: readonly PendingMove[]
  readonly rawMap: number
}

export interface PendingMove {
  /** Slot of the bucket, or -1 and the tag. */
  readonly slot: number
  readonly tag?: string
  readonly from: number
  readonly to: number
  readonly raw: number
  /** Crossing and churn parts of the gain as they were expected; the intervals tell the rest. */
  readonly fixedGain: number
  /** One of those that rawMap is about. */
  readonly judged: boolean
}

/**
 * Compares recommendations with what then happened, whether or not they were carried out: the loads that came are put on the
 * placement with the move and without it. Feeds the calibrations, so that confidence rests on the past only.
 */
export class Outcomes {
  readonly pending: Pending[] = []

  add(pending: Pending): void {
    if (pending.moves.length === 0) return
    this.pending.push(pending)
    if (this.pending.length > PENDING) this.pending.shift()
  }

  /** Settles what is over before the interval `now`. */
  settle(
    recorder: Recorder,
    now: number,
    objective: Objective,
    perMove: Calibration,
    perMap: Calibration,
  ): void {
    for (let k = 0; k < this.pending.length; ) {
      const pending = this.pending[k]!
      if (pending.start + pending.horizon > now) {
        k++
        continue
      }
      this.pending.splice(k, 1)
      settleOne(recorder, pending, objective, perMove, perMap)
    }
  }
}

function settleOne(
  recorder: Recorder,
  pending: Pending,
  objective: Objective,
  perMove: Calibration,
  perMap: Calibration,
): void {
  const { start, horizon, weights, slots, moves } = pending
  if (start < recorder.series.oldest) return
  const rows = recorder.series.rows(start, start + horizon)
  const n = weights.length
  const buckets = recorder.slotOf.length
  const tags = pending.tags.flatMap(({ tag, hash, shard }) => {
    const hot = recorder.hot.find(tag)
    const bucketSlot = recorder.slotOf[hash % buckets]!
    return hot && bucketSlot >= 0 && hot.since <= start ? [{ tag, slot: hot.slot, bucketSlot, shard }] : []
  })
  const vectors = moves.map((move) => {
    const slot = move.tag === undefined ? move.slot : recorder.hot.find(move.tag)?.slot
    return slot === undefined
      ? undefined
      : Float64Array.from(rows, (row) => {
          let load = row?.[slot] ?? 0
          if (move.tag === undefined)
            for (const tag of tags) if (tag.bucketSlot === slot) load -= row?.[tag.slot] ?? 0
          return Math.max(0, load)
        })
  })
  const loads = new Float64Array(n)
  let intervals = 0
  const alone = new Float64Array(moves.length)
  const last = new Float64Array(moves.length)
  let whole = 0
  rows.forEach((row, t) => {
    if (row === undefined) return
    loads.fill(0)
    for (let slot = 0; slot < Math.min(row.length, slots.length); slot++)
      if (slots[slot]! >= 0) loads[slots[slot]!]! += row[slot]!
    for (const { slot, bucketSlot, shard } of tags) {
      const home = slots[bucketSlot]
      if (home === undefined || home < 0 || slot >= row.length) continue
      loads[home]! -= row[slot]!
      loads[shard]! += row[slot]!
    }
    const before = peakOf(loads, weights)
    if (before === 0) return
    intervals++
    moves.forEach(({ from, to }, k) => {
      const load = vectors[k]?.[t] ?? 0
      loads[from]! -= load
      loads[to]! += load
      alone[k]! += before - peakOf(loads, weights)
      loads[from]! += load
      loads[to]! -= load
    })
    moves.forEach(({ from, to, judged }, k) => {
      if (!judged) return
      loads[from]! -= vectors[k]?.[t] ?? 0
      loads[to]! += vectors[k]?.[t] ?? 0
    })
    const after = peakOf(loads, weights)
    whole += before - after
    moves.forEach(({ from, to, judged }, k) => {
      if (!judged) return
      const load = vectors[k]?.[t] ?? 0
      loads[from]! += load
      loads[to]! -= load
      last[k]! += peakOf(loads, weights) - after
      loads[from]! -= load
      loads[to]! += load
    })
  })
  if (intervals === 0) return
  let fixed = 0
  moves.forEach((move, k) => {
    if (move.judged) fixed += move.fixedGain
    if (vectors[k] === undefined) return
    for (const gain of move.judged ? [alone[k]!, last[k]!] : [alone[k]!])
      perMove.observe({ raw: move.raw, held: (objective.imbalance * gain) / intervals + move.fixedGain > 0 })
  })
  if (vectors.every((vector, k) => vector !== undefined || !moves[k]!.judged))
    perMap.observe({ raw: pending.rawMap, held: (objective.imbalance * whole) / intervals + fixed > 0 })
}
