import { ErrorCode, ForeshardError } from '../../../src/errors'
import type { ShardBinding, ShardStore } from '../../../src/shard-store'

type Change = 'execute' | 'step' | 'found' | 'ingest' | 'erase'
const CHANGES: readonly string[] = ['execute', 'step', 'found', 'ingest', 'erase']

/** A shard whose server can be restarted as it was at an earlier moment: an empty one, to which what was done is done again. */
export class ForgetfulStore {
  readonly store: ShardStore
  readonly #empty: (life: number) => ShardStore
  readonly #binding: ShardBinding
  #current: ShardStore
  #life = 1
  #done: { method: Change; args: unknown[] }[] = []

  constructor(empty: (life: number) => ShardStore, binding: ShardBinding) {
    this.#empty = empty
    this.#binding = binding
    this.#current = empty(1)
    this.store = new Proxy({} as ShardStore, { get: (_, name) => this.#member(name as keyof ShardStore) })
  }

  open(): Promise<unknown> {
    return this.#current.open(this.#binding)
  }

  /** How much has been done: a moment to go back to. */
  get moment(): number {
    return this.#done.length
  }

  async restart(moment: number): Promise<void> {
    await this.#current.close()
    this.#current = this.#empty(++this.#life)
    await this.open()
    const done = this.#done.slice(0, moment)
    this.#done = []
    for (const { method, args } of done) await this.#do(method, args)
  }

  /**
   * Of a process: notices a restart when it is used, and then does nothing until it is opened again. What is asked of it goes
   * to `store`. It is said to lose state, whatever keeps the data here.
   */
  connection(store: ShardStore): ShardStore {
    let life = 0
    const noticed = (name: keyof ShardStore) => (argument: never, second: never) => {
      if (life !== this.#life) {
        life = 0
        return Promise.reject(new ForeshardError(ErrorCode.SHARD_MISMATCH, 'the shard was restarted'))
      }
      return (store[name] as (a: unknown, b: unknown) => Promise<unknown>)(argument, second)
    }
    const open = async (binding: ShardBinding) => {
      await store.open(binding)
      life = this.#life
      return { incarnation: `life ${life}` }
    }
    return new Proxy(store, {
      get: (_, name) => {
        if (name === 'supports') return { ...store.supports, durable: false }
        if (name === 'incarnation') return `life ${life}`
        if (name === 'open') return open
        return name === 'close' ? () => store.close() : noticed(name as keyof ShardStore)
      },
    })
  }

  #member(name: keyof ShardStore): unknown {
    if (CHANGES.includes(name)) return (...args: unknown[]) => this.#do(name as Change, args)
    const member = this.#current[name]
    return typeof member === 'function' ? member.bind(this.#current) : member
  }

  #do(method: Change, args: unknown[]): Promise<unknown> {
    this.#done.push({ method, args })
    const act = this.#current[method] as (...args: unknown[]) => Promise<unknown>
    return act.apply(this.#current, args)
  }
}
