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

/** How good confidence was: a score of 0.8 should come true eight times in ten. */
export interface Reliability {
  readonly outcomes: number
  readonly held: number
  /** Sums over outcomes: of the probability that was given, and of the square of its error (Brier). */
  readonly probability: number
  readonly squaredError: number
}

/** Recommendations whose horizon is over, or that were ended before: what was expected and what came, in J. */
export interface Score {
  readonly recommendations: number
  /** Those that gained anything. */
  readonly hits: number
  readonly expectedGain: number
  readonly realisedGain: number
  readonly realisedLoss: number
  readonly moves: Reliability
  readonly maps: Reliability
}

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
  /** Since this object was made; what a snapshot brought back is not in it. */
  readonly score: Score = newScore()

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
        teach(pending, played(recorder, pending, objective), pupils, this.score)
    }
  }

  /**
   * Settles what was recommended last before the end of interval `at`, up to `now` instead of its horizon: it was undone. False if
   * nothing of it is known any more.
   */
  conclude(recorder: Recorder, at: number, now: number, objective: Objective, pupils: Pupils): boolean {
    const k = this.pending.findLastIndex(
      ({ start, chosen }) => start <= at && chosen && chosen.moves.length > 0,
    )
    const pending = this.pending[k]
    if (pending === undefined || now <= pending.start) return false
    this.pending.splice(k, 1)
    if (pending.start < recorder.series.oldest) return false
    const short = { ...pending, horizon: Math.min(pending.horizon, now - pending.start) }
    // It counts from now on, as if its horizon were over.
    const start = Math.max(0, now - pending.horizon)
    teach({ ...short, start }, played(recorder, short, objective), pupils, this.score)
    return true
  }
}

function teach(
  { start, chosen }: Pending,
  outcomes: ReadonlyMap<Family, Realised>,
  pupils: Pupils,
  score: Score,
): void {
  pupils.record.add({
    start,
    gains: Object.fromEntries([...outcomes].map(([family, { whole }]) => [family, whole])),
  })
  const outcome = chosen && outcomes.get(chosen.family)
  if (outcome === undefined || chosen!.moves.length === 0) return
  count(score, chosen!, outcome, pupils)
  chosen!.moves.forEach((raw, k) => {
    for (const gain of [outcome.alone[k]!, outcome.last[k]!]) pupils.perMove.observe({ raw, held: gain > 0 })
  })
  pupils.perMap.observe({ raw: chosen!.map, held: outcome.whole > 0 })
}

type Open<T> = { -readonly [K in keyof T]: T[K] }

function newScore(): Score {
  const none = () => ({ outcomes: 0, held: 0, probability: 0, squaredError: 0 })
  return {
    recommendations: 0,
    hits: 0,
    expectedGain: 0,
    realisedGain: 0,
    realisedLoss: 0,
    moves: none(),
    maps: none(),
  }
}

/** Before anything is learned from it: what counts is the probability that was given. */
function count(
  score: Open<Score>,
  chosen: NonNullable<Pending['chosen']>,
  outcome: Realised,
  { perMove, perMap }: Pupils,
): void {
  score.recommendations++
  if (outcome.whole > 0) score.hits++
  score.expectedGain += Math.max(0, chosen.gain ?? 0)
  score.realisedGain += Math.max(0, outcome.whole)
  score.realisedLoss += Math.max(0, -outcome.whole)
  const rate = (reliability: Open<Reliability>, probability: number, held: boolean) => {
    reliability.outcomes++
    if (held) reliability.held++
    reliability.probability += probability
    reliability.squaredError += ((held ? 1 : 0) - probability) ** 2
  }
  chosen.moves.forEach((raw, k) => {
    rate(score.moves, perMove.of(raw), outcome.last[k]! > 0)
  })
  rate(score.maps, perMap.of(chosen.map), outcome.whole > 0)
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
