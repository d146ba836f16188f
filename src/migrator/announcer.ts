import { EventEmitter } from 'eventemitter3'
import type { PaceReading } from './pace'
import type { MoveFailure, MoveProgress, ReshardingProgress, ReshardingReport } from './progress'
import type { RescueReport } from './rescue'
import type { Cutover } from './work'

export interface MigratorEvents {
  progress: [ReshardingProgress]
  /** Copying has become slower or faster, has been paused or goes on. */
  pace: [PaceReading & { id: string }]
  move: [MoveProgress & { id: string }]
  cutover: [Cutover & { id: string }]
  plan: [{ id: string; phase: 'begun' | 'taken over' | 'ended'; report?: ReshardingReport }]
  /** Fences contradict each other: somebody should look at the two shards. */
  conflict: [MoveFailure & { id: string }]
  /** Shards came back as others than they were, and were made fit to serve. */
  rescue: [RescueReport]
  /** Something went wrong in the background, and will be tried again. */
  error: [unknown]
}

/** Tells what happens to whoever listens. What a listener throws harms nobody. */
export class Announcer {
  readonly #emitter = new EventEmitter<Record<keyof MigratorEvents, unknown[]>>()

  /** Calls `listener` until the function that it answers is called. */
  on<E extends keyof MigratorEvents>(event: E, listener: (...args: MigratorEvents[E]) => void): () => void {
    const guarded = (...args: unknown[]) => {
      try {
        listener(...(args as MigratorEvents[E]))
      } catch (error) {
        if (event !== 'error') this.tell('error', error)
      }
    }
    this.#emitter.on(event, guarded)
    return () => {
      this.#emitter.off(event, guarded)
    }
  }

  tell<E extends keyof MigratorEvents>(event: E, ...args: MigratorEvents[E]): void {
    this.#emitter.emit(event, ...args)
  }

  /** Observing costs nothing when nobody looks. */
  hasListener(event: keyof MigratorEvents): boolean {
    return this.#emitter.listenerCount(event) > 0
  }
}
