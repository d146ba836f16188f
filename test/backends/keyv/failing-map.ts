import { EventEmitter } from 'node:events'
import { type Random, seededRandom } from '../../../src/clock'

/** A storage adapter in memory that can be told to fail, and answers in an order of its own where it has a seed. */
export class FailingMap extends EventEmitter {
  opts = { url: '' }
  namespace: string | undefined
  /** Keyv 5 is told of a failure by a rejection or by an event; an adapter that swallows it answers undefined. */
  failing: 'loudly' | 'silently' | undefined
  /** Writes that are still carried out; those after them fail, or the process is dead. */
  failsAfter = Number.POSITIVE_INFINITY
  diesAfter = Number.POSITIVE_INFINITY
  writes = 0
  readonly #entries = new Map<string, unknown>()
  readonly #random: Random | undefined

  constructor(seed?: number) {
    super()
    if (seed !== undefined) this.#random = seededRandom(seed)
    this.on('error', () => {})
  }

  revive(): void {
    this.diesAfter = Number.POSITIVE_INFINITY
  }

  async get(key: string): Promise<unknown> {
    await this.#turns()
    if (this.failing === 'loudly') throw new Error('no connection')
    return this.failing === 'silently' ? undefined : this.#entries.get(key)
  }

  async set(key: string, value: unknown): Promise<boolean> {
    await this.#turns()
    this.#write()
    this.#entries.set(key, value)
    return true
  }

  async delete(key: string): Promise<boolean> {
    await this.#turns()
    this.#write()
    return this.#entries.delete(key)
  }

  async clear(): Promise<void> {
    this.#entries.clear()
  }

  #write(): void {
    if (this.failing) throw new Error('no connection')
    this.writes++
    if (this.writes > this.diesAfter) throw new Error('dead')
    if (this.failsAfter-- <= 0) {
      this.failsAfter = Number.POSITIVE_INFINITY
      throw new Error('connection lost')
    }
  }

  async #turns(): Promise<void> {
    if (!this.#random) return
    for (let turns = Math.floor(this.#random() * 12); turns > 0; turns--) await undefined
  }
}
