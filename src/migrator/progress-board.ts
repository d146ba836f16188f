import type { Clock } from '../clock'
import { ErrorCode } from '../errors'
import type { SegmentId, ShardId } from '../placement/segment'
import type { PlanEntry } from '../topology-store'
import type { PaceReading } from './pace'
import type { MoveFailure, MovePhase, MoveProgress, ReshardingProgress, ReshardingReport } from './progress'
import type { Tally } from './tally'

interface Line {
  readonly segment: SegmentId
  readonly from: string
  readonly to: string
  phase: MovePhase
  /** When it came into its phase. */
  since: number
  keysCopied: number
  bytesCopied: number
  /** When its first key was copied, and its last. */
  firstAt: number
  lastAt: number
  expectedKeys: number | undefined
  holds: number
  retries: number
  error: MoveFailure | undefined
}

/** Hears of what is written on the board. */
export interface BoardListener {
  onMove(progress: () => MoveProgress): void
  onFailure(failure: MoveFailure): void
  onCopied(): void
  onPace?(): void
}

const NEVER = Number.NaN

/** The blackboard of one resharding: every move has a line, and what is asked about it is read off here. */
export class ProgressBoard {
  readonly #plan: PlanEntry
  readonly #clock: Clock
  readonly #listener: BoardListener
  readonly #tally: Tally | undefined
  readonly #lines = new Map<SegmentId, Line>()
  readonly #moved = new Set<SegmentId>()
  readonly #carved = new Set<SegmentId>()
  readonly #merged = new Set<SegmentId>()
  /** Shards that do not answer, and since when. */
  readonly #outages = new Map<ShardId, number>()
  #longestHoldMs = 0
  /** Of whoever carries the plan out, where there is one to keep. */
  pace: { readonly reading: PaceReading } | undefined
  #phase: ReshardingProgress['phase'] = 'running'
  #endedAt = NEVER

  /** `tally`: where what is written here is counted over all boards. */
  constructor(plan: PlanEntry, clock: Clock, listener: BoardListener, tally?: Tally) {
    this.#plan = plan
    this.#clock = clock
    this.#listener = listener
    this.#tally = tally
    // What an earlier plan left to be settled has no target, and is not this plan's progress.
    for (const { segment, from, to } of plan.moves)
      if (to !== '') this.#lines.set(segment, newLine(segment, from, to, clock.now()))
  }

  paceChanged(): void {
    this.#listener.onPace?.()
  }

  enter(segment: SegmentId, phase: MovePhase): void {
    const line = this.#lines.get(segment)
    if (!line || line.phase === phase) return
    const now = this.#clock.now()
    this.#tally?.left(line.phase, now - line.since)
    if (this.#tally && isOver(phase)) this.#tally.moves[phase as 'done' | 'cancelled' | 'failed']++
    line.phase = phase
    line.since = now
    this.#listener.onMove(() => this.#progressOf(line))
  }

  expect(segment: SegmentId, keys: number): void {
    const line = this.#lines.get(segment)
    if (line) line.expectedKeys = keys
  }

  copied(segment: SegmentId, keys: number, bytes: number): void {
    const line = this.#lines.get(segment)
    if (!line) return
    line.lastAt = this.#clock.now()
    if (line.keysCopied === 0) line.firstAt = line.lastAt
    line.keysCopied += keys
    line.bytesCopied += bytes
    if (this.#tally) {
      this.#tally.keysCopied += keys
      this.#tally.bytesCopied += bytes
    }
    this.#listener.onCopied()
  }

  heldFor(segment: SegmentId, ms: number): void {
    const line = this.#lines.get(segment)
    if (line) line.holds++
    this.#longestHoldMs = Math.max(this.#longestHoldMs, ms)
    this.#tally?.holds.record(ms)
  }

  retried(segment: SegmentId): void {
    const line = this.#lines.get(segment)
    if (line) line.retries++
    if (this.#tally) this.#tally.retries++
  }

  /** The shard has not answered since then, or answers again. */
  outage(shard: ShardId, since: number | undefined): void {
    if (since === undefined) this.#outages.delete(shard)
    else this.#outages.set(shard, Math.min(since, this.#outages.get(shard) ?? since))
  }

  moved(segment: SegmentId): void {
    this.#moved.add(segment)
  }

  carved(segment: SegmentId): void {
    this.#carved.add(segment)
  }

  merged(segment: SegmentId): void {
    this.#merged.add(segment)
  }

  fail(segment: SegmentId, code: ErrorCode, message: string): void {
    const line = this.#lines.get(segment)
    if (!line) return
    line.error = { segment, code, message }
    this.#listener.onFailure(line.error)
    this.enter(segment, code === ErrorCode.CANCELLED ? 'cancelled' : 'failed')
  }

  /** What has not come to an end did not come through. */
  failRest(code: ErrorCode, message: string): void {
    for (const { segment, phase } of this.#lines.values())
      if (!isOver(phase)) this.fail(segment, code, message)
  }

  /** Forgets how a move ended: it is taken up once more. */
  reopen(): void {
    for (const line of this.#lines.values()) {
      if (line.error) line.error = undefined
      if (line.phase !== 'done') line.phase = 'waiting'
    }
  }

  turn(phase: ReshardingProgress['phase']): void {
    this.#phase = phase
    if (phase === 'done') this.#endedAt = this.#clock.now()
  }

  progress(): ReshardingProgress {
    const { id, startedAt, confidence, reason } = this.#plan
    const moves = [...this.#lines.values()].map((line) => this.#progressOf(line))
    const segmentsDone = moves.filter((it) => isOver(it.phase)).length
    const elapsedMs = this.#elapsedMs()
    const keysCopied = sum(moves, 'keysCopied')
    const bytesCopied = sum(moves, 'bytesCopied')
    return {
      id,
      phase: this.#phase,
      segmentsDone,
      segmentsTotal: moves.length,
      keysCopied,
      bytesCopied,
      keysPerSecond: perSecond(keysCopied, elapsedMs),
      bytesPerSecond: perSecond(bytesCopied, elapsedMs),
      etaMs: etaOf(this.#remainingShare(moves), elapsedMs),
      startedAt,
      confidence,
      reason,
      waitingFor:
        this.#phase === 'done' ? [] : [...this.#outages].map(([shard, since]) => ({ shard, since })),
      ...(this.pace && { pace: this.pace.reading }),
      moves,
    }
  }

  report(): ReshardingReport {
    const lines = [...this.#lines.values()]
    const errors = lines.flatMap((line) => (line.error ? [line.error] : []))
    const failed = errors.filter((it) => it.code !== ErrorCode.CANCELLED)
    const cancelled = errors.filter((it) => it.code === ErrorCode.CANCELLED).map((it) => it.segment)
    return {
      id: this.#plan.id,
      outcome:
        cancelled.length > 0
          ? 'cancelled'
          : failed.length === 0
            ? 'done'
            : failed.length === lines.length
              ? 'failed'
              : 'partial',
      moved: [...this.#moved],
      failed,
      cancelled,
      carved: [...this.#carved],
      merged: [...this.#merged],
      keysCopied: sum(lines, 'keysCopied'),
      bytesCopied: sum(lines, 'bytesCopied'),
      holds: sum(lines, 'holds'),
      retries: sum(lines, 'retries'),
      durationMs: this.#elapsedMs(),
      longestHoldMs: this.#longestHoldMs,
    }
  }

  #elapsedMs(): number {
    const now = this.#phase === 'done' ? this.#endedAt : this.#clock.now()
    return Math.max(0, now - this.#plan.startedAt)
  }

  /** The part of the work that is still to do: by keys where sizes are known, else by moves. */
  #remainingShare(moves: readonly MoveProgress[]): number | undefined {
    let total = 0
    let done = 0
    const over = moves.filter((it) => isOver(it.phase))
    const meanKeys = over.length === 0 ? 1 : sum(over, 'keysCopied') / over.length
    for (const { segment, phase, keysCopied } of moves) {
      const expected = this.#lines.get(segment)!.expectedKeys
      const weight = isOver(phase) ? Math.max(keysCopied, 1) : Math.max(expected ?? meanKeys, keysCopied, 1)
      total += weight
      done += isOver(phase) ? weight : Math.min(keysCopied, weight)
    }
    return done === 0 || total === 0 ? undefined : (total - done) / total
  }

  #waitOf({ from, to }: Line): string | undefined {
    for (const shard of [from, to]) {
      const since = this.#outages.get(shard)
      if (since === undefined) continue
      const seconds = Math.round((this.#clock.now() - since) / 1000)
      return `waiting for shard ${shard} (unavailable for ${seconds} s)`
    }
    return undefined
  }

  #progressOf(line: Line): MoveProgress {
    const { expectedKeys, firstAt, lastAt, since: _, ...rest } = line
    const elapsedMs = (isOver(line.phase) ? lastAt : this.#clock.now()) - firstAt
    const keysPerSecond = perSecond(line.keysCopied, elapsedMs)
    return {
      ...rest,
      waiting: isOver(line.phase) ? undefined : this.#waitOf(line),
      keysPerSecond,
      bytesPerSecond: perSecond(line.bytesCopied, elapsedMs),
      etaMs: isOver(line.phase)
        ? 0
        : expectedKeys === undefined || keysPerSecond === 0
          ? undefined
          : (1000 * Math.max(0, expectedKeys - line.keysCopied)) / keysPerSecond,
    }
  }
}

function newLine(segment: SegmentId, from: string, to: string, since: number): Line {
  return {
    segment,
    from,
    to,
    phase: 'waiting',
    since,
    keysCopied: 0,
    bytesCopied: 0,
    firstAt: NEVER,
    lastAt: NEVER,
    expectedKeys: undefined,
    holds: 0,
    retries: 0,
    error: undefined,
  }
}

function isOver(phase: MovePhase): boolean {
  return phase === 'done' || phase === 'cancelled' || phase === 'failed'
}

function perSecond(amount: number, elapsedMs: number): number {
  return amount > 0 && elapsedMs > 0 ? (1000 * amount) / elapsedMs : 0
}

function etaOf(remainingShare: number | undefined, elapsedMs: number): number | undefined {
  if (remainingShare === undefined || remainingShare === 1 || elapsedMs === 0) return undefined
  return (elapsedMs * remainingShare) / (1 - remainingShare)
}

function sum<K extends string>(items: readonly Record<K, number>[], field: K): number {
  let total = 0
  for (const item of items) total += item[field]
  return total
}
