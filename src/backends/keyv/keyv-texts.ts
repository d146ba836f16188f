import type { KeyvClient } from './keyv-client'

/** The texts of a Keyv under names of our own. A Keyv answers failures as if nothing were there: here they reject. */
export class KeyvTexts {
  readonly #keyv: KeyvClient
  readonly #prefix: string
  #failures = 0
  #failure: unknown

  constructor(keyv: KeyvClient, prefix: string) {
    this.#keyv = keyv
    this.#prefix = prefix
    if ('throwOnErrors' in keyv) keyv.throwOnErrors = true
    keyv.on('error', (error) => {
      this.#failures++
      this.#failure = error
    })
  }

  async get(names: readonly string[]): Promise<(string | undefined)[]> {
    const keys = names.map((name) => this.#prefix + name)
    const native = typeof (this.#keyv.store as Partial<KeyvClient> | undefined)?.getMany === 'function'
    // Where the adapter has none, Keyv's own answers a failure with undefined and tells nobody.
    const found = await this.#told(() =>
      native ? this.#keyv.getMany(keys) : Promise.all(keys.map((key) => this.#keyv.get(key))),
    )
    if (found?.length !== keys.length) throw new Error('the Keyv did not answer every key')
    return found.map((text) => {
      if (text === undefined || text === null) return undefined
      if (typeof text !== 'string') throw new Error('the Keyv holds something else than was written')
      return text
    })
  }

  /** Writes a text, or deletes it. */
  async set(name: string, text: string | undefined): Promise<void> {
    const key = this.#prefix + name
    if (text === undefined) await this.#told(() => this.#keyv.delete(key))
    else if ((await this.#told(() => this.#keyv.set(key, text))) === false)
      throw new Error('the Keyv did not keep what was written')
  }

  /** A failure that was told while it ran may be its own. */
  async #told<T>(call: () => Promise<T>): Promise<T> {
    const before = this.#failures
    const answer = await call()
    if (this.#failures !== before)
      throw this.#failure instanceof Error ? this.#failure : new Error(String(this.#failure))
    return answer
  }
}
