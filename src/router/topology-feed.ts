import type { Clock, Random } from '../clock'
import { ErrorCode, ForeshardError, isForeshardError } from '../errors'
import type { Founding, Topology, TopologyChange, TopologyStore } from '../topology-store'
import type { View } from './view'

/** A topology, open and in agreement with the stores of its shards. */
export interface Opened {
  readonly topology: Topology
  readonly store: TopologyStore
  readonly founding: Founding
  /** How often the topology store was opened: each closes for itself. */
  readonly opens: number
}

/** Routers that change the topology at the same time; each of them wins at last. */
const RACES = 32

/** Keeps the view in step with the topology: when it is told of a change, from time to time, and when asked. */
export class TopologyFeed {
  readonly #store: TopologyStore
  readonly #founding: Founding
  readonly #view: View
  readonly #onChange: (revision: number) => void
  readonly #onError: (error: unknown) => void
  #refreshing: Promise<void> | undefined
  #again = false
  #stops: (() => void)[] = []
  #refreshes = 0
  /** How often the store was opened: each closes for itself. */
  #opens: number

  constructor(
    { store, founding, opens }: Opened,
    view: View,
    told: { onChange: (revision: number) => void; onError: (error: unknown) => void },
  ) {
    this.#store = store
    this.#founding = founding
    this.#opens = opens
    this.#view = view
    this.#onChange = told.onChange
    this.#onError = told.onError
  }

  /** How often the topology was read. */
  get refreshes(): number {
    return this.#refreshes
  }

  /** Watches, and polls every `pollMs` give or take a tenth, because a notification is a hint. */
  start(clock: Clock, random: Random, pollMs: number): void {
    const hint = () => {
      if (this.#refreshing) this.#again = true
      else this.refresh().catch(this.#onError)
    }
    this.#stops = [this.#store.watch(hint), clock.every(pollMs * (0.9 + random() / 5), hint)]
  }

  /** Ends watching and polling, and closes the store. */
  async close(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop()
    await this.#refreshing?.catch(() => {})
    for (; this.#opens > 0; this.#opens--) await this.#store.close()
  }

  /** Commits a change that `build` makes from the topology as it is, again where another was faster. */
  async change(build: (topology: Topology) => Omit<TopologyChange, 'expect'> | undefined): Promise<Topology> {
    for (let race = 0; race < RACES; race++) {
      const topology = await this.whole()
      const change = build(topology)
      if (!change) return topology
      const { revision } = topology
      await this.#store.commit({ ...change, expect: { revision } }).catch((error) => {
        throw unavailable(error)
      })
    }
    throw new ForeshardError(
      ErrorCode.TOPOLOGY_UNAVAILABLE,
      `the topology changed ${RACES} times while it was to be changed; try again`,
    )
  }

  /**
   * Brings the view up to date; calls at the same time share one reading.
   * @throws TOPOLOGY_UNAVAILABLE; the view stays as it is.
   */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#read().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  /** The topology in full, with its history; the view takes it in as well. */
  async whole(): Promise<Topology> {
    this.#refreshes++
    const topology = await this.#open()
    const before = this.#view.revision
    this.#view.load(topology)
    if (topology.revision > before) this.#onChange(topology.revision)
    return topology
  }

  async #read(): Promise<void> {
    do {
      this.#again = false
      this.#refreshes++
      const before = this.#view.revision
      let deltas: Awaited<ReturnType<TopologyStore['changesSince']>>
      try {
        deltas = await this.#store.changesSince(before)
      } catch (error) {
        throw unavailable(error)
      }
      if (deltas) for (const delta of deltas) this.#view.apply(delta)
      else this.#view.load(await this.#open())
      if (this.#view.revision > before) this.#onChange(this.#view.revision)
    } while (this.#again)
  }

  async #open(): Promise<Topology> {
    try {
      const topology = await this.#store.open(this.#founding)
      this.#opens++
      return topology
    } catch (error) {
      throw unavailable(error)
    }
  }
}

export function unavailable(error: unknown): ForeshardError {
  if (isForeshardError(error)) return error
  const message = error instanceof Error ? error.message : String(error)
  return new ForeshardError(
    ErrorCode.TOPOLOGY_UNAVAILABLE,
    `the topology store did not answer: ${message}; reads and writes go on with the map that is known`,
    { cause: error },
  )
}
