import type { Clock, Random } from '../clock'
import { ErrorCode, ForeshardError, isForeshardError } from '../errors'
import type { Topology, TopologyChange, TopologyDelta, TopologyStore } from '../topology-store'
import type { View } from './view'

/** A topology, open and in agreement with the stores of its shards. */
export interface Opened {
  readonly topology: Topology
  readonly store: TopologyStore
}

/** Routers that change the topology at the same time; each of them wins at last. */
const RACES = 32

/** Keeps the view in step with the topology: when it is told of a change, from time to time, and when asked. */
export class TopologyFeed {
  readonly #store: TopologyStore
  readonly #view: View
  readonly #onChange: (revision: number) => void
  readonly #onError: (error: unknown) => void
  #refreshing: Promise<void> | undefined
  #again = false
  #stops: (() => void)[] = []
  #refreshes = 0

  constructor(
    { store }: Opened,
    view: View,
    told: { onChange: (revision: number) => void; onError: (error: unknown) => void },
  ) {
    this.#store = store
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
    this.#stops = [
      this.#store.watch((delta) => this.#hear(delta)),
      clock.every(pollMs * (0.9 + random() / 5), () => this.#hear()),
    ]
  }

  /** A change that follows on what is known is taken in as it is told; anything else is asked for. */
  #hear(delta?: TopologyDelta): void {
    if (this.#refreshing) this.#again = true
    else if (delta && delta.revision <= this.#view.revision) return
    else if (delta?.revision === this.#view.revision + 1) {
      this.#view.apply(delta)
      this.#onChange(delta.revision)
    } else this.refresh().catch(this.#onError)
  }

  /** Ends watching and polling, and closes the store. */
  async close(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop()
    await this.#refreshing?.catch(() => {})
    await this.#store.close()
  }

  /** Commits a change that `build` makes from the shards as they are, again where another was faster. */
  async change(
    build: (topology: Pick<Topology, 'shards'>) => Omit<TopologyChange, 'expect'> | undefined,
  ): Promise<void> {
    for (let race = 0; race < RACES; race++) {
      await this.refresh()
      const { revision, shards } = this.#view
      const change = build({ shards })
      if (!change) return
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
    const topology = await this.#whole()
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
      else this.#view.load(await this.#whole())
      if (this.#view.revision > before) this.#onChange(this.#view.revision)
    } while (this.#again)
  }

  async #whole(): Promise<Topology> {
    try {
      return await this.#store.read()
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
