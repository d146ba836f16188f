import type { Random } from '../clock'
import { Stop } from './interruption'
import type { MigratorLease } from './lease'
import type { Office } from './office'
import { Tenure } from './tenure'

export interface TenuresOptions {
  readonly office: Office
  readonly lease: MigratorLease
  readonly random: Random
  readonly pollMs: number
  readonly onError: (error: unknown) => void
}

/** Gets a migrator into office: at once or not at all, or as soon as the lease is free. */
export class Tenures {
  readonly #options: TenuresOptions

  constructor(options: TenuresOptions) {
    this.#options = options
  }

  /** Undefined where another process has the lease, or gets it meanwhile. */
  async underLease<T>(act: (tenure: Tenure) => Promise<T>): Promise<T | undefined> {
    const { office, lease } = this.#options
    const grip = await lease.hold()
    if (!grip) return undefined
    const tenure = new Tenure(office, grip)
    try {
      return await act(tenure)
    } catch (error) {
      if (error instanceof Stop && error.why === 'lease lost') return undefined
      throw error
    } finally {
      await tenure.release()
    }
  }

  /** Waits until the lease is free. Undefined: cancelled before. */
  async awaited(cancel: AbortSignal | undefined, again: boolean): Promise<Tenure | undefined> {
    const { office, lease, random, pollMs, onError } = this.#options
    const { gate, clock } = office
    const waiting = cancel ? gate.narrowed(cancel) : gate
    const pause = () => clock.sleep(pollMs * (0.5 + random()), waiting.signal).catch(() => undefined)
    if (again) await pause()
    for (;;) {
      gate.pass()
      if (waiting.signal.aborted) return undefined
      try {
        const grip = await lease.hold()
        if (grip) return new Tenure(office, grip)
      } catch (error) {
        onError(error)
      }
      await pause()
    }
  }
}
