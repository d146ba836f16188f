import type { Clock } from '../clock'
import type { TopologyStore } from '../topology-store'
import { Stop } from './interruption'

/** The lease in hand: `signal` is aborted when it is lost. */
export interface LeaseGrip {
  readonly term: number
  readonly signal: AbortSignal
  /** Lets go; the lease itself is released with the last grip. */
  release(): Promise<void>
}

interface Holding {
  readonly term: number
  readonly lost: AbortController
  readonly stopRenewing: () => void
  /** By this process's own clock, counted from before the request was sent: never later than the store's own time. */
  validUntil: number
  grips: number
}

/**
 * The lease that lets one migrator at a time work. It spares two of them treading on each other; that nothing is lost
 * when they do rests on tickets alone.
 */
export class MigratorLease {
  readonly #topology: TopologyStore
  readonly #holder: string
  readonly #clock: Clock
  readonly #leaseMs: number
  #holding: Holding | undefined
  #acquiring: Promise<Holding | undefined> | undefined

  constructor(topology: TopologyStore, holder: string, clock: Clock, leaseMs: number) {
    this.#topology = topology
    this.#holder = holder
    this.#clock = clock
    this.#leaseMs = leaseMs
  }

  /** A grip on the lease; undefined while another process holds it. */
  async hold(): Promise<LeaseGrip | undefined> {
    this.check()
    let holding = this.#holding
    if (!holding) {
      this.#acquiring ??= this.#acquire().finally(() => {
        this.#acquiring = undefined
      })
      holding = await this.#acquiring
    }
    if (!holding) return undefined
    const own = holding
    own.grips++
    let held = true
    return {
      term: own.term,
      signal: own.lost.signal,
      release: async () => {
        if (!held) return
        held = false
        if (--own.grips === 0 && this.#holding === own) await this.#release(own)
      },
    }
  }

  /** Notices that the lease has run out, also where the timer that should have renewed it slept with the process. */
  check(): void {
    const holding = this.#holding
    if (holding && this.#clock.now() >= holding.validUntil) this.#lose(holding)
  }

  /** Stops renewing without giving the lease back: what a crash does. */
  forget(): void {
    if (this.#holding) this.#lose(this.#holding)
  }

  async #acquire(): Promise<Holding | undefined> {
    const asked = this.#clock.now()
    const lease = await this.#topology.acquireLease(this.#holder, this.#leaseMs)
    if (!lease) return undefined
    const holding: Holding = {
      term: lease.term,
      lost: new AbortController(),
      stopRenewing: this.#clock.every(this.#leaseMs / 3, () => void this.#renew(holding)),
      validUntil: asked + this.#leaseMs,
      grips: 0,
    }
    this.#holding = holding
    return holding
  }

  async #renew(holding: Holding): Promise<void> {
    this.check()
    if (this.#holding !== holding) return
    const asked = this.#clock.now()
    try {
      const renewed = await this.#topology.renewLease(this.#holder, holding.term, this.#leaseMs)
      if (!renewed) this.#lose(holding)
      else holding.validUntil = Math.max(holding.validUntil, asked + this.#leaseMs)
    } catch {
      // The topology does not answer: the lease is ours until it runs out, and there is another try before.
      this.check()
    }
  }

  #lose(holding: Holding): void {
    if (this.#holding === holding) this.#holding = undefined
    holding.stopRenewing()
    holding.lost.abort(new Stop('lease lost'))
  }

  async #release(holding: Holding): Promise<void> {
    this.#holding = undefined
    holding.stopRenewing()
    // Where this fails the lease runs out by itself.
    await this.#topology.releaseLease(this.#holder, holding.term).catch(() => undefined)
  }
}
