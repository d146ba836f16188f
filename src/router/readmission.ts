import type { Clock, Random } from '../clock'
import { ErrorCode, ForeshardError } from '../errors'
import type { ShardId } from '../placement/segment'
import type { Topology } from '../topology-store'
import { openStore } from './opening'
import { incarnationOf, isAdmitted, type Shard, type ShardSet } from './shard-set'
import type { TopologyFeed } from './topology-feed'
import type { View } from './view'

/** What a router needs of a migrator for a shard that came back. */
export interface Rescuer {
  /** False: another process is about to do it. */
  rescue(): Promise<boolean>
}

export interface ReadmissionOptions {
  readonly topology: Pick<Topology, 'id' | 'buckets'>
  readonly view: View
  readonly shards: ShardSet
  readonly feed: TopologyFeed
  /** undefined: this router leaves it to others. */
  readonly rescuer: Rescuer | undefined
  readonly clock: Clock
  readonly random: Random
  /** Aborted when the router closes. */
  readonly signal: AbortSignal
  readonly onError: (error: unknown) => void
}

/** Pauses between two tries, growing. */
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2_000

/**
 * A server that was restarted may have lost its last steps, and then would serve what it has given away. So a router serves
 * from a store only while the topology knows it by the name (the incarnation) under which it answers: a store that came back
 * under another name is compared with its peers first, by whichever migrator has the lease.
 */
export class Readmission {
  readonly #options: ReadmissionOptions
  readonly #underWay = new Map<ShardId, Promise<void>>()
  #stop: (() => void) | undefined

  constructor(options: ReadmissionOptions) {
    this.#options = options
    options.shards.onMismatch = (shard) => this.look(shard)
  }

  /**
   * Looks at every store now and then, so that a restart is noticed also where nothing is asked of it. What a store says of
   * itself decides, not who has heard of it: one that was noticed by somebody who told nobody is seen to as well.
   */
  start(pollMs: number): void {
    const { clock, random, shards } = this.#options
    this.#stop = clock.every(pollMs * (0.9 + random() / 5), () => {
      for (const [, shard] of shards) {
        if (!shard.store) continue
        if (isAdmitted(shard)) void this.#probe(shard)
        else this.look(shard.id)
      }
    })
  }

  /** Admits every store that the topology knows as it is, and sees to those that it does not, once. */
  async admit(): Promise<void> {
    const { shards, rescuer, feed } = this.#options
    this.#admitKnown()
    if ([...shards].every(([, shard]) => !shard.store || isAdmitted(shard))) return
    try {
      await rescuer?.rescue()
      await feed.refresh()
      this.#admitKnown()
    } catch (error) {
      if (isHopeless(error)) throw error
      this.#options.onError(error)
    }
    for (const [, shard] of shards) if (shard.store && !isAdmitted(shard)) this.look(shard.id)
  }

  /** As which the stores answer now, by shard; those that cannot be asked are left out. */
  async incarnations(): Promise<Map<ShardId, string>> {
    const { shards } = this.#options
    const found = new Map<ShardId, string>()
    for (const [, shard] of shards) {
      if (!shard.store) continue
      try {
        if (!this.#isKnown(shard)) await this.#reopen(shard)
        found.set(shard.id, incarnationOf(shard))
      } catch (error) {
        this.#options.onError(error)
      }
    }
    return found
  }

  /** Sees to it that the store, which is not what it was, serves again; once at a time. */
  look(id: ShardId): void {
    if (this.#underWay.has(id) || this.#options.signal.aborted) return
    const looking = this.#readmit(id).finally(() => this.#underWay.delete(id))
    looking.catch(() => {})
    this.#underWay.set(id, looking)
  }

  async close(): Promise<void> {
    this.#stop?.()
    await Promise.allSettled(this.#underWay.values())
  }

  async #probe({ id, store }: Shard): Promise<void> {
    try {
      await store!.fences([{ segment: '#0', bucketId: 0 }])
    } catch (error) {
      if (error instanceof ForeshardError && error.code === ErrorCode.SHARD_MISMATCH) this.look(id)
    }
  }

  async #readmit(id: ShardId): Promise<void> {
    const { shards, view, rescuer, feed, signal, onError } = this.#options
    const shard = shards.at(view.indexOf(id))
    let told: string | undefined
    for (let tries = 1; !signal.aborted; tries++) {
      try {
        await this.#reopen(shard)
        await feed.refresh()
        this.#admitKnown()
        if (!shard.store || isAdmitted(shard)) return
        await rescuer?.rescue()
        await feed.refresh()
        this.#admitKnown()
        if (isAdmitted(shard)) return
      } catch (error) {
        // Once, and not with every try.
        const message = error instanceof Error ? error.message : String(error)
        if (!signal.aborted && message !== told) onError(error)
        told = message
      }
      await this.#pause(tries)
    }
  }

  async #reopen(shard: Shard): Promise<void> {
    const { topology, clock } = this.#options
    const { id, store } = shard
    if (!store) return
    shard.incarnation = await openStore(id, store, topology, clock)
    // Every router has it open once.
    await store.close()
  }

  #admitKnown(): void {
    for (const [, shard] of this.#options.shards)
      if (shard.store && this.#isKnown(shard)) shard.admitted = incarnationOf(shard)
  }

  /** Whether the topology knows the store as what it is. */
  #isKnown(shard: Shard): boolean {
    const entry = this.#options.view.shards.find(({ id }) => id === shard.id)
    return entry?.incarnation === incarnationOf(shard)
  }

  #pause(tries: number): Promise<void> {
    const { clock, random, signal } = this.#options
    const ms = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tries - 1)) * (0.5 + 0.5 * random())
    return clock.sleep(ms, signal).catch(() => {})
  }
}

/** A store that cannot be opened as what it is said to be. */
function isHopeless(error: unknown): boolean {
  return error instanceof ForeshardError && error.code === ErrorCode.SHARD_MISMATCH
}
