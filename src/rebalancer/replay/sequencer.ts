import { type AccessLogEntry, type RefusedBecause, refusedBecause } from '../../tracking/access-log'
import { OpenInterval, type ReplayedInterval } from './interval'
import type { TagTable } from './tag-table'

/** What became of the lines of a log. */
export interface EntryCounts {
  read: number
  used: number
  /** Used, though an entry with a later timestamp had come before. */
  outOfOrder: number
  /** Left out: their interval was over when they came. */
  late: number
  /** Left out: unusable, by reason. */
  refused: Partial<Record<RefusedBecause, number>>
}

export interface SequencerOptions {
  table: TagTable
  intervalMs: number
  writeWeight: number
  /** An interval stays open until an entry this much later than its end has come. */
  latenessMs: number
  /** A later timestamp is refused: it would end all intervals before it. */
  notAfter: number
  /** Told of every entry of the oldest open interval: never of one whose interval is still to be decided on. */
  observe(entry: AccessLogEntry): void
}

/**
 * Cuts a stream of entries into intervals, in order of time. Entries of later intervals that come while an earlier
 * one is open wait; so nobody who watches through `observe` learns of an interval before the one before it is over.
 */
export class Sequencer {
  readonly counts: EntryCounts = { read: 0, used: 0, outOfOrder: 0, late: 0, refused: Object.create(null) }
  readonly #options: SequencerOptions
  #open: OpenInterval | undefined
  #waiting: AccessLogEntry[] = []
  /** Timestamp that the open interval waits for. */
  #closesAt = Number.NEGATIVE_INFINITY
  #latest = Number.NEGATIVE_INFINITY

  constructor(options: SequencerOptions) {
    this.#options = options
  }

  /** Takes an entry in; true when `shift` has a finished interval to give. */
  push(entry: AccessLogEntry): boolean {
    this.counts.read++
    const reason = refusedBecause(entry, this.#options.notAfter)
    if (reason) {
      this.counts.refused[reason] = (this.counts.refused[reason] ?? 0) + 1
      return false
    }
    const { timestamp } = entry
    if (this.#open && timestamp < this.#open.start) {
      this.counts.late++
      return false
    }
    this.counts.used++
    if (timestamp < this.#latest) this.counts.outOfOrder++
    else this.#latest = timestamp
    this.#place(entry)
    return timestamp >= this.#closesAt
  }

  /** The oldest open interval, closed, if it is over; whether or not it is when the log has ended. */
  shift(ended = false): ReplayedInterval | undefined {
    if (!this.#open || (!ended && this.#latest < this.#closesAt)) return undefined
    const closed = this.#open.close()
    this.#open = undefined
    this.#closesAt = Number.POSITIVE_INFINITY
    return closed
  }

  /**
   * Number of the interval that `reopen` will open; undefined when nothing waits. It is the earliest one that an
   * entry waits for, or may still come for.
   */
  next(ended = false): number | undefined {
    if (this.#waiting.length === 0) return undefined
    const { intervalMs, latenessMs } = this.#options
    let first = this.#waiting[0]!.timestamp
    for (const { timestamp } of this.#waiting) if (timestamp < first) first = timestamp
    const stillToCome = ended ? first : this.#latest - latenessMs
    return Math.floor(Math.min(first, stillToCome) / intervalMs)
  }

  /** Opens interval number `next()`. To be called after `shift`, when all has been decided that precedes it. */
  reopen(index: number): void {
    this.#start(index)
    const waiting = this.#waiting
    this.#waiting = []
    for (const entry of waiting) this.#place(entry)
  }

  #start(index: number): void {
    const { table, intervalMs, writeWeight, latenessMs } = this.#options
    this.#open = new OpenInterval(table, index, index * intervalMs, writeWeight)
    this.#closesAt = (index + 1) * intervalMs + latenessMs
  }

  #place(entry: AccessLogEntry): void {
    const { intervalMs } = this.#options
    if (!this.#open) this.#start(Math.floor(entry.timestamp / intervalMs))
    if (entry.timestamp >= this.#open!.start + intervalMs) {
      // A copy: whoever gives the entries may fill the same object again.
      this.#waiting.push({ ...entry })
      return
    }
    this.#open!.add(entry)
    this.#options.observe(entry)
  }
}
