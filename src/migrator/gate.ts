import type { Breather, Clock, Random } from '../clock'
import { ErrorCode, ForeshardError, isForeshardError } from '../errors'
import type { SegmentId, ShardId } from '../placement/segment'
import type { ShardStore } from '../shard-store'
import type { TopologyStore } from '../topology-store'
import { Stop } from './interruption'

/** The steps of a handoff, in the order of the protocol, then those that undo one, and those around it. */
export const STEPS = [
  'export',
  'prepare',
  'sweep',
  'copy',
  'ingest',
  'catch-up',
  'verify',
  'hold',
  'cutover',
  'activate',
  'publish',
  'purge',
  'abort',
  'discard',
  'carve',
  'merge',
] as const
/** A rescue is no part of a handoff. */
export type Step = (typeof STEPS)[number] | 'rescue'

/** Where a failpoint is called: before and after every step. */
export const HANDOFF_STEPS: readonly string[] = STEPS.flatMap((step) => [`${step}:before`, `${step}:after`])

export type Failpoint = (step: string, segment: SegmentId) => void | Promise<void>

/** What every gate of one migrator shares. */
export interface GateKeeping {
  readonly topology: TopologyStore
  readonly store: (shard: ShardId) => ShardStore | undefined
  readonly clock: Clock
  readonly breather: Breather
  readonly random: Random
  readonly failpoint: Failpoint | undefined
  /** A failpoint threw: nothing more is done, as if the process had died there. */
  readonly crash: (cause: unknown) => void
  /** Notices a lease that ran out while the process slept. */
  readonly check: () => void
  /** Why a shard may not be used now, if that is so. */
  readonly refusal: (shard: ShardId) => ForeshardError | undefined
  /** The store of a shard is not what it was when it was opened. */
  readonly onMismatch: (shard: ShardId) => void
}

/** How long requests are repeated before their failure counts. */
export interface Patience {
  readonly ms: number
  /** A shard has not answered since then; undefined: it has. */
  readonly onOutage: (shard: ShardId, since: number | undefined) => void
}

/** Tries of one request. The pauses between them grow from 25 ms to 2 s, together a few seconds. */
const TRIES = 8
const FIRST_PAUSE_MS = 25
const LONGEST_PAUSE_MS = 2_000
/** After this time a request counts as lost. It may still arrive: the protocol allows for that. */
const REQUEST_TIMEOUT_MS = 30_000
/** Given with every abort: without a reason, each makes an exception with its stack. */
const ANSWERED = Symbol('answered')

/**
 * Everything that the migrator does to the outside passes a gate: it is closed when the migrator must stop, and it asks
 * again where a request failed. Every request is idempotent, so asking again is always right.
 */
export class Gate {
  readonly signal: AbortSignal
  readonly #keeping: GateKeeping
  readonly #patience: Patience | undefined
  /** How long the topology may take. */
  readonly #topologyMs: number

  constructor(keeping: GateKeeping, signal: AbortSignal, patience?: Patience, topologyMs = 0) {
    this.#keeping = keeping
    this.signal = signal
    this.#patience = patience
    this.#topologyMs = topologyMs
  }

  /** A gate that is closed by any of these signals as well. */
  narrowed(...signals: AbortSignal[]): Gate {
    return new Gate(
      this.#keeping,
      AbortSignal.any([this.signal, ...signals]),
      this.#patience,
      this.#topologyMs,
    )
  }

  /** A gate that is closed when the lease is lost, and until then waits so long for the topology. */
  leased(lost: AbortSignal, topologyMs: number): Gate {
    return new Gate(this.#keeping, AbortSignal.any([this.signal, lost]), this.#patience, topologyMs)
  }

  /** A gate that waits for shards which do not answer. */
  patient(patience: Patience): Gate {
    return new Gate(this.#keeping, this.signal, patience, this.#topologyMs)
  }

  /** A gate to shards that serve nobody yet. */
  toAll(): Gate {
    const keeping = { ...this.#keeping, refusal: () => undefined }
    return new Gate(keeping, this.signal, this.#patience, this.#topologyMs)
  }

  /** Throws why the gate is closed, if it is. */
  pass(): void {
    this.#keeping.check()
    if (this.signal.aborted) throw this.signal.reason
  }

  async step<T>(step: Step, segment: SegmentId, act: () => Promise<T>): Promise<T> {
    this.pass()
    await this.#failpoint(`${step}:before`, segment)
    const result = await act()
    await this.#failpoint(`${step}:after`, segment)
    return result
  }

  /** One request to a shard. */
  ask<T>(shard: ShardId, request: (store: ShardStore) => Promise<T>): Promise<T> {
    return this.#persist(`shard ${shard}`, shard, () => {
      const store = this.#keeping.store(shard)
      if (!store)
        throw new ForeshardError(ErrorCode.UNKNOWN_SHARD, `shard ${shard} has no store here`, { shard })
      const refusal = this.#keeping.refusal(shard)
      if (refusal) throw refusal
      return request(store)
    })
  }

  /** One request to the topology store. */
  askTopology<T>(request: (store: TopologyStore) => Promise<T>): Promise<T> {
    return this.#persist('the topology store', undefined, () => request(this.#keeping.topology))
  }

  /** A pause that grows with every try, spread so that two who failed together do not return together. */
  pause(tries: number, firstMs = FIRST_PAUSE_MS): Promise<void> {
    const ms = Math.min(LONGEST_PAUSE_MS, firstMs * 2 ** (tries - 1)) * (0.5 + 0.5 * this.#keeping.random())
    return this.#keeping.clock.sleep(ms, this.signal)
  }

  async #persist<T>(whom: string, shard: ShardId | undefined, request: () => Promise<T>): Promise<T> {
    let since: number | undefined
    for (let tries = 1; ; tries++) {
      this.pass()
      const rest = this.#keeping.breather.rest()
      if (rest) {
        await rest
        this.pass()
      }
      try {
        const answer = await this.#inTime(whom, shard, request)
        if (since !== undefined && shard !== undefined) this.#patience?.onOutage(shard, undefined)
        return answer
      } catch (error) {
        if (isFinal(error)) throw error
        if (shard !== undefined && isForeshardError(error, ErrorCode.SHARD_MISMATCH))
          this.#keeping.onMismatch(shard)
        since ??= this.#keeping.clock.now()
        const forMs = this.#keeping.clock.now() - since
        if (this.#patience && shard !== undefined && !isForeshardError(error, ErrorCode.SHARD_FULL)) {
          if (forMs >= this.#patience.ms) throw outage(error, shard, forMs)
          this.#patience.onOutage(shard, since)
        } else if (tries >= TRIES && (shard !== undefined || forMs >= this.#topologyMs))
          throw asForeshardError(error, whom, shard)
        await this.pause(tries)
      }
    }
  }

  async #inTime<T>(whom: string, shard: ShardId | undefined, request: () => Promise<T>): Promise<T> {
    const answered = new AbortController()
    const late = this.#keeping.clock.sleep(REQUEST_TIMEOUT_MS, answered.signal).then(() => {
      throw new ForeshardError(
        ErrorCode.OUTCOME_UNKNOWN,
        `${whom} did not answer in ${REQUEST_TIMEOUT_MS} ms`,
        {
          shard,
        },
      )
    })
    try {
      return await Promise.race([request(), late])
    } finally {
      answered.abort(ANSWERED)
      late.catch(() => undefined)
    }
  }

  async #failpoint(name: string, segment: SegmentId): Promise<void> {
    if (!this.#keeping.failpoint) return
    try {
      await this.#keeping.failpoint(name, segment)
    } catch (cause) {
      this.#keeping.crash(cause)
      throw new Stop('crashed', cause)
    }
    this.pass()
  }
}

const FINAL: ReadonlySet<ErrorCode> = new Set([
  ErrorCode.INVALID_ARGUMENT,
  ErrorCode.INVALID_KEY,
  ErrorCode.INVALID_VALUE,
  ErrorCode.UNKNOWN_SHARD,
  ErrorCode.TOPOLOGY_MISMATCH,
  ErrorCode.TOPOLOGY_CORRUPT,
  ErrorCode.NOT_SUPPORTED,
  ErrorCode.CLOSED,
])

/** Whether the same request would fail again. */
function isFinal(error: unknown): boolean {
  return isForeshardError(error) ? FINAL.has(error.code) : isMistake(error)
}

const MISTAKES = [TypeError, ReferenceError, RangeError, SyntaxError]

/** An error of whoever wrote the program, not of what it works with. */
export function isMistake(error: unknown): boolean {
  // With a cause it is how some clients report a connection that failed.
  return MISTAKES.some((mistake) => error instanceof mistake) && (error as Error).cause === undefined
}

function outage(error: unknown, shard: ShardId, forMs: number): ForeshardError {
  const message = error instanceof Error ? error.message : String(error)
  const seconds = Math.round(forMs / 1000)
  return new ForeshardError(
    ErrorCode.SHARD_UNAVAILABLE,
    `shard ${shard} did not answer for ${seconds} s: ${message}`,
    { shard, cause: error },
  )
}

function asForeshardError(error: unknown, whom: string, shard: ShardId | undefined): ForeshardError {
  if (isForeshardError(error) && error.code !== ErrorCode.SHARD_MISMATCH) return error
  const code = shard === undefined ? ErrorCode.TOPOLOGY_UNAVAILABLE : ErrorCode.SHARD_UNAVAILABLE
  return new ForeshardError(code, `${whom}: ${error instanceof Error ? error.message : error}`, {
    shard,
    cause: error,
  })
}
