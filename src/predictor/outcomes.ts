import type { Family } from './basis'
import type { Calibration } from './calibration'
import { cameTogether } from './came-together'
import type { CoAccessGraph } from './co-access'
import type { Pending } from './pending'
import type { Objective } from './prediction'
import { type Realised, realise } from './realised'
import type { Recorder } from './recorder'
import type { TrackRecord } from './track-record'

/** Predictions whose horizon is not over yet; the oldest is forgotten first. */
const PENDING = 32

/** What outcomes teach. */
export interface Pupils {
  readonly record: TrackRecord
  readonly perMove: Calibration
  readonly perMap: Calibration
}

/**
 * Compares predictions with what then happened, whether or not they were carried out: what came is put on the placement with the moves
 * and without them. So choice and confidence rest on the past only.
 */
export class Outcomes {
  readonly pending: Pending[] = []

  add(pending: Pending): void {
    this.pending.push(pending)
    if (this.pending.length > PENDING) this.pending.shift()
  }

  /** Settles what is over before the interval `now`. */
  settle(recorder: Recorder, now: number, objective: Objective, pupils: Pupils): void {
    for (let k = 0; k < this.pending.length; ) {
      const pending = this.pending[k]!
      if (pending.start + pending.horizon > now) {
        k++
        continue
      }
      this.pending.splice(k, 1)
      if (pending.start >= recorder.series.oldest)
        teach(pending, played(recorder, pending, objective), pupils)
    }
  }
}

function teach({ start, chosen }: Pending, outcomes: ReadonlyMap<Family, Realised>, pupils: Pupils): void {
  pupils.record.add({
    start,
    gains: Object.fromEntries([...outcomes].map(([family, { whole }]) => [family, whole])),
  })
  const outcome = chosen && outcomes.get(chosen.family)
  if (outcome === undefined || chosen!.moves.length === 0) return
  chosen!.moves.forEach((raw, k) => {
    for (const gain of [outcome.alone[k]!, outcome.last[k]!]) pupils.perMove.observe({ raw, held: gain > 0 })
  })
  pupils.perMap.observe({ raw: chosen!.map, held: outcome.whole > 0 })
}

/** What each family's plan would have gained. */
function played(recorder: Recorder, pending: Pending, objective: Objective): Map<Family, Realised> {
  const { start, horizon, weights, slots, plans } = pending
  const rows = recorder.series.rows(start, start + horizon)
  const buckets = recorder.slotOf.length
  const tags = pending.tags.flatMap(({ tag, hash, shard }, k) => {
    const hot = recorder.hot.find(tag)
    const home = recorder.slotOf[hash % buckets]!
    return hot && home >= 0 && home < slots.length && hot.since <= start
      ? [{ item: slots.length + k, slot: hot.slot, home, shard }]
      : []
  })
  const slotOfTag = new Map(tags.map(({ item, slot }) => [item, slot]))
  const tagsIn = new Map<number, number[]>()
  for (const { home, slot } of tags) tagsIn.set(home, [...(tagsIn.get(home) ?? []), slot])
  const loadOf = (item: number, row: Float32Array | undefined) => {
    if (item >= slots.length) return row?.[slotOfTag.get(item) ?? -1] ?? 0
    let load = row?.[item] ?? 0
    for (const slot of tagsIn.get(item) ?? []) load -= row?.[slot] ?? 0
    return Math.max(0, load)
  }
  const loads = rows.map((row) => {
    const sums = new Float64Array(weights.length)
    if (row === undefined) return sums
    for (let slot = 0; slot < Math.min(row.length, slots.length); slot++)
      if (slots[slot]! >= 0) sums[slots[slot]!]! += row[slot]!
    for (const { slot, home, shard } of tags) {
      if (slots[home]! < 0) continue
      sums[slots[home]!]! -= row[slot] ?? 0
      sums[shard]! += row[slot] ?? 0
    }
    return sums
  })
  const actual = { loads, weights, graph: tiesOf(recorder, pending), objective }
  return new Map(
    plans.map(({ family, moves }) => [
      family,
      realise(
        actual,
        moves.map((move) => ({
          ...move,
          vector: Float64Array.from(rows, (row) =>
            move.items.reduce((sum, item) => sum + loadOf(item, row), 0),
          ),
        })),
      ),
    ]),
  )
}

/** Who was accessed with whom over the horizon. What was not known when it began lies on a shard of its own. */
function tiesOf(recorder: Recorder, { start, horizon, weights, slots, tags }: Pending): CoAccessGraph {
  const itemOfTag = new Map(tags.map(({ hash }, k) => [hash, slots.length + k]))
  const unknown = slots.length + tags.length
  const shardOf = new Int32Array(unknown + 1).fill(weights.length)
  slots.forEach((shard, slot) => {
    if (shard >= 0) shardOf[slot] = shard
  })
  tags.forEach(({ shard }, k) => {
    shardOf[slots.length + k] = shard
  })
  const itemOf = (hash: number) => {
    const slot = recorder.slotOf[hash % recorder.slotOf.length]!
    return itemOfTag.get(hash) ?? (slot >= 0 && slot < slots.length && slots[slot]! >= 0 ? slot : unknown)
  }
  return cameTogether(
    recorder.transactions.sample(),
    itemOf,
    shardOf,
    weights.length + 1,
    start,
    start + horizon,
  )
}
