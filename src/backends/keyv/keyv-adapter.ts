import { EventEmitter } from 'eventemitter3'
import { ErrorCode, ForeshardError, invalid, shown } from '../../errors'
import { checkFields, type Fields } from '../../options'
import type { KeyvRouter } from './keyv-router'

export interface KeyvForeshardOptions {
  /** Where Keyv names none. */
  namespace?: string
  /** `disconnect` closes the router; by default whoever opened it does. */
  closeRouter?: boolean
}

const FIELDS: Fields<KeyvForeshardOptions> = { namespace: true, closeRouter: true }
/** Between a namespace and a key, as the adapters of Keyv 6 have it. */
const SEPARATOR = '::'
/** Keys that `clear` deletes together. */
const CLEARED_AT_ONCE = 256

interface KeyvEntryToSet {
  readonly key: string
  readonly value: unknown
  readonly ttl?: number
}

/**
 * A router as a storage adapter of Keyv 5, and of Keyv 6, which bridges adapters that take a relative time to live. Every
 * method is an `async` one: Keyv 6 tells adapters from maps by that. A failure is the router's own ForeshardError.
 */
export class KeyvAdapter extends EventEmitter {
  /** Keyv 5 offers an iterator only where `dialect` is one of those that it knows. */
  opts: Record<string, unknown> = { dialect: 'redis', url: '' }
  readonly #router: KeyvRouter
  readonly #closeRouter: boolean
  readonly #default: string | undefined
  #namespace: string | undefined

  constructor(router: KeyvRouter, options: KeyvForeshardOptions = {}) {
    super()
    if (typeof router?.getMany !== 'function' || typeof router.entries !== 'function')
      throw invalid('router', 'is not a ShardRouter; give one that ShardRouter.open resolved to')
    checkFields(options, FIELDS, 'options')
    const { namespace, closeRouter = false } = options
    if (typeof closeRouter !== 'boolean')
      throw invalid('options.closeRouter', `must be true or false, not ${shown(closeRouter)}`)
    checkNamespace(namespace, 'options.namespace')
    this.#router = router
    this.#closeRouter = closeRouter
    this.#default = namespace
    this.#namespace = namespace
  }

  get namespace(): string | undefined {
    return this.#namespace
  }

  /** Keyv sets its own. */
  set namespace(namespace: string | undefined) {
    checkNamespace(namespace, 'namespace')
    this.#namespace = namespace ?? this.#default
  }

  // biome-ignore lint/suspicious/noExplicitAny: what Keyv stored, it knows the type of
  async get<Value = any>(key: string): Promise<Value | undefined> {
    return (await this.#router.get(this.#prefix() + key)) as Value | undefined
  }

  /** `ttl` in ms from now; a value that is born expired deletes the key. */
  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    const name = this.#prefix() + key
    if (isOver(ttl)) await this.#router.delete(name)
    else await this.#router.set(name, value, expiring(ttl))
    return true
  }

  async delete(key: string): Promise<boolean> {
    return (await this.#router.delete(this.#prefix() + key)).deleted
  }

  async has(key: string): Promise<boolean> {
    return this.#router.has(this.#prefix() + key)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as `get`
  async getMany<Value = any>(keys: string[]): Promise<(Value | undefined)[]> {
    const prefix = this.#prefix()
    const found = await this.#router.getMany(keys.map((key) => prefix + key))
    return keys.map((key) => found.get(prefix + key) as Value | undefined)
  }

  // biome-ignore lint/suspicious/noExplicitAny: Keyv 5 declares void and answers what comes, Keyv 6 wants a boolean each
  async setMany(entries: KeyvEntryToSet[]): Promise<any> {
    const prefix = this.#prefix()
    const living = entries.filter(({ ttl }) => !isOver(ttl))
    await this.#router.setMany(
      living.map(({ key, value, ttl }) => [prefix + key, value, expiring(ttl)] as const),
    )
    await Promise.all(
      entries.filter(({ ttl }) => isOver(ttl)).map(({ key }) => this.#router.delete(prefix + key)),
    )
    return entries.map(() => true)
  }

  /** Whether every one of the keys was there to be deleted. */
  async deleteMany(keys: string[]): Promise<boolean> {
    const prefix = this.#prefix()
    const deleted = await Promise.all(keys.map((key) => this.#router.delete(prefix + key)))
    return deleted.every((it) => it.deleted)
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    const prefix = this.#prefix()
    return Promise.all(keys.map((key) => this.#router.has(prefix + key)))
  }

  /**
   * Deletes every key of the namespace; one that is written meanwhile may stay.
   * @throws NOT_SUPPORTED without a namespace: the router may hold what is not Keyv's.
   */
  async clear(): Promise<void> {
    const prefix = this.#prefix()
    if (prefix === '')
      throw new ForeshardError(
        ErrorCode.NOT_SUPPORTED,
        'without a namespace clear() would delete all that the router holds; give the Keyv a namespace',
      )
    let doomed: string[] = []
    for await (const [key] of this.#router.entries({ prefix })) {
      doomed.push(key.slice(prefix.length))
      if (doomed.length < CLEARED_AT_ONCE) continue
      await this.deleteMany(doomed)
      doomed = []
    }
    await this.deleteMany(doomed)
  }

  /** Every live entry of the namespace, once, in no order. */
  // biome-ignore lint/suspicious/noExplicitAny: as `get`
  async *iterator<Value = any>(
    namespace: string | undefined = this.#namespace,
  ): AsyncGenerator<(string | Awaited<Value> | undefined)[], void> {
    checkNamespace(namespace, 'namespace')
    const prefix = prefixOf(namespace)
    for await (const [key, value] of this.#router.entries({ prefix }))
      yield [key.slice(prefix.length), value as Awaited<Value>]
  }

  async disconnect(): Promise<void> {
    if (this.#closeRouter) await this.#router.close()
  }

  #prefix(): string {
    return prefixOf(this.#namespace)
  }
}

function prefixOf(namespace: string | undefined): string {
  return namespace === undefined || namespace === '' ? '' : namespace + SEPARATOR
}

/** One that holds the separator would share keys with another. */
function checkNamespace(namespace: unknown, field: string): void {
  if (namespace === undefined) return
  if (typeof namespace !== 'string' || namespace.includes(SEPARATOR))
    throw invalid(field, `must be a string without ${SEPARATOR}, not ${shown(namespace)}`)
}

/** 0, like nothing and Infinity, stands for never. */
function expiring(ttl: number | undefined): { ttlMs: number } | undefined {
  return ttl === undefined || ttl === null || ttl === 0 || ttl === Number.POSITIVE_INFINITY
    ? undefined
    : { ttlMs: ttl }
}

function isOver(ttl: number | undefined): boolean {
  return typeof ttl === 'number' && ttl < 0
}
