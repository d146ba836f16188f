import type { Clock, Random } from '../clock'
import { ErrorCode, ForeshardError, isForeshardError } from '../errors'
import type { KnownTopology } from '../migrator/known-topology'
import type { ShardId } from '../placement/segment'
import type { Topology, TopologyChange, TopologyDelta, TopologyStore } from '../topology-store'
import type { View } from './view'

/** A topology, open and in agreement with the stores of its shards. */
export interface Opened {
  readonly topology: Topology
  readonly store: TopologyStore
  /** As which the stores of the shards were opened. */
  readonly incarnations: ReadonlyMap<ShardId, string>
}

/** Routers that change the topology at the same time; each of them wins at last. */
const RACES = 32

/** Keeps what is known of the topology, and the view with it, up to date: when told of a change, from time to time, and when asked. */
export class TopologyFeed {
  readonly #store: TopologyStore
  readonly #known: KnownTopology
  readonly #onError: (error: unknown) => void
  #stops: (() => void)[]

  constructor(
    store: TopologyStore,
    known: KnownTopology,
    view: View,
    told: { onChange: (revision: number) => void; onError: (error: unknown) => void },
  ) {
    this.#store = store
    this.#known = known
    this.#onError = told.onError
    const end = known.follow({
      apply(delta) {
        view.apply(delta, known.table)
        told.onChange(delta.revision)
      },
      load(topology) {
        view.load({ ...topology, assignments: known.table })
        told.onChange(topology.revision)
      },
    })
    this.#stops = [end]
  }

  /** How often the topology was read. */
  get refreshes(): number {
    return this.#known.reads
  }

  /** Watches, and polls every `pollMs` give or take a tenth, because a notification is a hint. */
  start(clock: Clock, random: Random, pollMs: number): void {
    this.#stops.push(
      this.#store.watch((delta) => this.#hear(delta)),
      clock.every(pollMs * (0.9 + random() / 5), () => this.#hear()),
    )
  }

  /** A change that follows on what is known is taken in as it is told; anything else is asked for. */
  #hear(delta?: TopologyDelta): void {
    if (!delta || !this.#known.hear(delta)) this.refresh().catch(this.#onError)
  }

  /** Ends watching and polling, and closes the store. */
  async close(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop()
    await this.#known.idle()
    await this.#store.close()
  }

  /**
   * Commits a change that `build` makes from the shards as they are, again where another was faster. False where `build`
   * finds nothing to change.
   */
  async change(
    build: (topology: Pick<Topology, 'shards'>) => Omit<TopologyChange, 'expect'> | undefined,
  ): Promise<boolean> {
    for (let race = 0; race < RACES; race++) {
      await this.refresh()
      const { revision, shards } = this.#known
      const change = build({ shards })
      if (!change) return false
      const done = await this.#store.commit({ ...change, expect: { revision } }).catch((error) => {
        throw unavailable(error)
      })
      if (done === undefined) continue
      await this.refresh()
      return true
    }
    throw new ForeshardError(
      ErrorCode.TOPOLOGY_UNAVAILABLE,
      `the topology changed ${RACES} times while it was to be changed; try again`,
    )
  }

  /**
   * Brings the view up to date; calls at the same time share a reading.
   * @throws TOPOLOGY_UNAVAILABLE; the view stays as it is.
   */
  async refresh(): Promise<void> {
    try {
      await this.#known.refresh()
    } catch (error) {
      throw unavailable(error)
    }
  }

  /** The topology in full, with its history; the view takes it in as well. */
  async whole(): Promise<Topology> {
    try {
      return await this.#known.whole()
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
