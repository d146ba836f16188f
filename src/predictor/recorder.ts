import { murmur3 } from '../placement/hash'
import { compileTagRule, type TagRule } from '../placement/tag'
import { type AccessLogEntry, checkEntry, type RefusedBecause, refusedBecause } from '../tracking/access-log'
import { Cardinality } from './cardinality'
import { HotTags } from './hot-tags'
import { KeySample } from './key-sample'
import { loadOf } from './objective'
import { HOUR_MS, type Settings } from './options'
import { type Counted, Series } from './series'
import { Transactions } from './transactions'

/** Half-life of what is known about a segment besides its series: heat of tags, write share, bytes. */
const MEMORY_MS = 24 * HOUR_MS
/** Intervals that the sample of keys reaches back. */
const MOST_INTERVALS = 336
/** Longer transaction ids tie nothing together, so that the window has bounded size. */
const LONGEST_ID = 256

export type Refusal = RefusedBecause | 'timestamp before the kept history'

/** Per slot, decayed: what share is writes, how large values are. */
export interface SlotTotals {
  reads: Float32Array
  writes: Float32Array
  bytes: Float32Array
  sized: Float32Array
}

/**
 * Takes in accesses. Everything it holds is bounded, whatever the number of keys, and one access costs a hash and a
 * few array increments.
 */
export class Recorder {
  readonly series: Series
  readonly hot: HotTags
  readonly transactions: Transactions
  readonly cardinality = new Cardinality()
  /** Keys by name, as long as no schema says how they are tagged. */
  readonly keys: KeySample | undefined
  /** bucket -> slot in the series, -1 before its first access. */
  readonly slotOf: Int32Array
  readonly tagOf: TagRule
  totals: SlotTotals
  accepted = 0
  readonly refused = new Map<Refusal, number>()
  readonly #settings: Settings
  readonly #latest: () => number

  constructor(settings: Settings) {
    const { intervalMs, buckets, history, clock } = settings
    this.#settings = settings
    this.series = new Series(intervalMs, history)
    this.series.onAdvance = (intervals) => this.#advance(intervals)
    this.hot = new HotTags(
      settings.hotTags,
      () => this.series.newSlot(),
      (slot) => this.#clear(slot),
    )
    this.transactions = new Transactions()
    this.keys = settings.schema === undefined ? new KeySample() : undefined
    this.slotOf = new Int32Array(buckets).fill(-1)
    this.tagOf = compileTagRule(settings.schema, settings.relationships)
    this.totals = emptyTotals(64)
    // Clocks of other machines may run ahead by as much as an interval.
    this.#latest = () => clock.now() + intervalMs
  }

  get intervalMs(): number {
    return this.#settings.intervalMs
  }

  /** What the arrays take; an estimate, which leaves out the transactions. */
  get bytes(): number {
    const { series, slotOf, totals, hot, cardinality } = this
    const kept = series.newest < 0 ? 0 : series.newest - series.oldest + 1
    const arrays = [slotOf, totals.reads, totals.writes, totals.bytes, totals.sized, hot.sketch]
    return arrays.reduce(
      (sum, array) => sum + array.byteLength,
      4 * kept * series.slots + cardinality.registers.byteLength,
    )
  }

  /** Counts an access; a malformed one throws with the name of its field, an ill-timed one is counted as refused. */
  record(entry: AccessLogEntry): boolean {
    checkEntry(entry)
    return this.#count(entry) === undefined
  }

  /** Counts an access from outside; nothing in it is trusted. */
  offer(entry: unknown): Refusal | undefined {
    const reason = refusedBecause(entry)
    if (reason === undefined) return this.#count(entry as AccessLogEntry)
    this.refuse(reason)
    return reason
  }

  refuse(reason: Refusal): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1)
  }

  #count(entry: AccessLogEntry): Refusal | undefined {
    const { series } = this
    const when: Counted = series.seek(entry.timestamp, this.#latest)
    if (when !== 'counted') {
      const reason = when === 'too old' ? 'timestamp before the kept history' : 'timestamp in the future'
      this.refuse(reason)
      return reason
    }
    this.accepted++
    const { seed, buckets, objective } = this.#settings
    const { key, operation, transactionId } = entry
    const tag = this.tagOf(key)
    const hash = murmur3(tag, seed)
    const keyHash = tag === key ? hash : murmur3(key, seed)
    const count = entry.count ?? 1
    const load = loadOf(operation, count, objective.writeWeight)
    const bucket = hash % buckets
    let slot = this.slotOf[bucket]!
    if (slot < 0) slot = this.slotOf[bucket] = series.newSlot()
    series.add(slot, load)
    this.#note(slot, entry, count, keyHash)
    const hot = this.hot.observe(tag, hash, load, series.newest)
    if (hot !== undefined) {
      series.add(hot.slot, load)
      this.#note(hot.slot, entry, count, keyHash)
    }
    if (transactionId === undefined || transactionId.length <= LONGEST_ID) {
      if (transactionId !== undefined) this.transactions.add(transactionId, hash, keyHash, series.newest)
      this.keys?.add(entry)
    }
    return undefined
  }

  #note(slot: number, { operation, bytes }: AccessLogEntry, count: number, keyHash: number): void {
    let { totals } = this
    if (slot >= totals.reads.length) totals = this.#widen(slot)
    if (operation === 'write') totals.writes[slot]! += count
    else totals.reads[slot]! += count
    if (bytes !== undefined) {
      totals.bytes[slot]! += bytes
      totals.sized[slot]!++
    }
    this.cardinality.add(slot, keyHash)
  }

  #clear(slot: number): void {
    this.series.clear(slot)
    this.cardinality.clear(slot)
    const { reads, writes, bytes, sized } = this.totals
    if (slot < reads.length) reads[slot] = writes[slot] = bytes[slot] = sized[slot] = 0
  }

  #advance(intervals: number): void {
    const factor = 2 ** ((-intervals * this.intervalMs) / MEMORY_MS)
    this.hot.decay(factor)
    const { reads, writes, bytes, sized } = this.totals
    for (let slot = 0; slot < reads.length; slot++) {
      reads[slot]! *= factor
      writes[slot]! *= factor
      bytes[slot]! *= factor
      sized[slot]! *= factor
    }
    this.transactions.advance(intervals)
    this.keys?.forget((this.series.newest - MOST_INTERVALS) * this.intervalMs)
  }

  #widen(slot: number): SlotTotals {
    const wider = emptyTotals(Math.max(slot + 1, this.totals.reads.length * 2))
    for (const name of ['reads', 'writes', 'bytes', 'sized'] as const) wider[name].set(this.totals[name])
    this.totals = wider
    return wider
  }
}

function emptyTotals(slots: number): SlotTotals {
  return {
    reads: new Float32Array(slots),
    writes: new Float32Array(slots),
    bytes: new Float32Array(slots),
    sized: new Float32Array(slots),
  }
}
