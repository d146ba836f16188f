import { EventEmitter } from 'eventemitter3'
import type { PaceReading } from '../migrator/pace'
import type { ReshardingProgress, ReshardingReport } from '../migrator/progress'
import type { RescueReport } from '../migrator/rescue'
import { checkEvent, type Fields } from '../options'
import type { SegmentId, ShardId } from '../placement/segment'

/** What a router tells to those who listen. Nothing is built for an event that nobody listens to. */
export interface RouterEvents {
  /** A shard refused an operation, which goes on elsewhere or later. */
  refusal: [event: RefusalEvent]
  /** An operation was sent to another shard, or under another segment or epoch, after a refusal. */
  redirect: [event: RedirectEvent]
  /** A resharding was accepted. */
  resharding: [event: ReshardingEvent]
  /** A resharding of this router has moved on. */
  progress: [progress: ReshardingProgress]
  /** The copying of a resharding of this router has become slower or faster, has been paused or goes on. */
  pace: [event: PaceReading & { readonly id: string }]
  /** A resharding of this router has ended. */
  resharded: [report: ReshardingReport]
  /** Shards that came back as others than they were (a restart, a failover) were made fit to serve, and what they may have lost. */
  rescued: [report: RescueReport]
  /** The view took in a change of the topology. */
  topology: [event: { readonly revision: number }]
  /** Something failed in the background, or in a listener. Failures of operations reject those instead. */
  error: [error: unknown]
}

export interface RefusalEvent {
  readonly key: string
  readonly shard: ShardId
  readonly segment: SegmentId
  readonly epoch: number
  readonly reason: 'held' | 'elsewhere'
  /** Which try of the operation this was, from 1. */
  readonly attempt: number
}

export interface RedirectEvent {
  readonly key: string
  readonly from: ShardId
  readonly to: ShardId
  readonly segment: SegmentId
  readonly epoch: number
}

export interface ReshardingEvent {
  readonly id: string
  readonly moves: number
  readonly merges: number
  readonly confidence: number
  readonly reason: string
}

const EVENTS: Fields<RouterEvents> = {
  refusal: true,
  redirect: true,
  resharding: true,
  progress: true,
  pace: true,
  resharded: true,
  rescued: true,
  topology: true,
  error: true,
}

type Listener = (...args: never[]) => void

/**
 * An emitter whose listeners cannot reach the data path: what one of them throws is told to the listeners of 'error',
 * and the others are called all the same.
 */
export class RouterEmitter extends EventEmitter<RouterEvents> {
  readonly #guarded = new WeakMap<Listener, Listener>()
  #failures = 0

  /** How many times a listener threw. */
  get failures(): number {
    return this.#failures
  }

  failed(event: string, error: unknown): void {
    this.#failures++
    if (event !== 'error') this.emit('error', error)
  }

  override on<T extends keyof RouterEvents>(event: T, fn: (...args: RouterEvents[T]) => void): this {
    return super.on(event, this.#guard(event, fn) as never)
  }

  override once<T extends keyof RouterEvents>(event: T, fn: (...args: RouterEvents[T]) => void): this {
    return super.once(event, this.#guard(event, fn) as never)
  }

  override off<T extends keyof RouterEvents>(event: T, fn?: (...args: RouterEvents[T]) => void): this {
    return super.off(event, fn && ((this.#guarded.get(fn as unknown as Listener) ?? fn) as never))
  }

  #guard(event: string, fn: unknown): Listener {
    checkEvent(event, fn, EVENTS)
    const listener = fn as Listener
    let guarded = this.#guarded.get(listener)
    if (!guarded) {
      guarded = (...args) => {
        try {
          const returned = listener(...args) as unknown
          if (returned instanceof Promise) returned.catch((error) => this.failed(event, error))
        } catch (error) {
          this.failed(event, error)
        }
      }
      this.#guarded.set(listener, guarded)
    }
    return guarded
  }
}
