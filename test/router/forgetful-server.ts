import { memoryStore } from '../../src/backends/memory/memory-store'
import { type Clock, seededRandom } from '../../src/clock'
import { ErrorCode, ForeshardError } from '../../src/errors'
import type { ShardBinding, ShardStore } from '../../src/shard-store'

type Change = 'execute' | 'step' | 'found' | 'ingest' | 'erase'

/** A shard in memory that can be restarted as it was at an earlier moment, and the connections of several processes to it. */
export class ForgetfulServer {
  readonly #clock: Clock
  readonly #durable: boolean
  #store: ShardStore
  #binding: ShardBinding | undefined
  #done: { method: Change; argument: unknown; second: unknown }[] = []
  #life = 1

  constructor(clock: Clock, { durable = false } = {}) {
    this.#clock = clock
    this.#durable = durable
    this.#store = this.#empty()
  }

  /** The bare store. */
  get store(): ShardStore {
    return this.#store
  }

  /** How much has been done: a moment to go back to. */
  get moment(): number {
    return this.#done.length
  }

  /** Comes back as it was at that moment. */
  async restart(moment: number): Promise<void> {
    this.#life++
    this.#store = this.#empty()
    await this.#store.open(this.#binding!)
    const done = this.#done.slice(0, moment)
    this.#done = []
    for (const { method, argument, second } of done) await this.#do(method, argument, second)
  }

  /** A connection, which notices a restart as soon as it is used, and does nothing until it is opened again. */
  connect(): ShardStore {
    let life = 0
    const ask = <T>(send: () => Promise<T>): Promise<T> => {
      if (life === this.#life) return send()
      // From then on it answers to no name that anybody knows.
      life = 0
      return Promise.reject(new ForeshardError(ErrorCode.SHARD_MISMATCH, 'the server was restarted'))
    }
    return {
      supports: { ...this.#store.supports, durable: this.#durable },
      get incarnation() {
        return `life ${life}`
      },
      open: async (binding) => {
        this.#binding = binding
        await this.#store.open(binding)
        life = this.#life
        return { incarnation: `life ${life}` }
      },
      execute: (calls) => ask(() => this.#do('execute', calls) as never),
      step: (at, command) => ask(() => this.#do('step', at, command) as never),
      found: (buckets) => ask(() => this.#do('found', buckets) as never),
      ingest: (request) => ask(() => this.#do('ingest', request) as never),
      erase: (request) => ask(() => this.#do('erase', request) as never),
      fences: (segments) => ask(() => this.#store.fences(segments)),
      scan: (request) => ask(() => this.#store.scan(request)),
      changes: (request) => ask(() => this.#store.changes(request)),
      size: () => ask(() => this.#store.size()),
      close: async () => {},
    }
  }

  #do(method: Change, argument: unknown, second?: unknown): Promise<unknown> {
    this.#done.push({ method, argument, second })
    return (this.#store[method] as (a: unknown, b: unknown) => Promise<unknown>)(argument, second)
  }

  #empty(): ShardStore {
    return memoryStore({ clock: this.#clock, random: seededRandom(5) })
  }
}
