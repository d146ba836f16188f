import { invalid } from '../../errors'

/** What a store uses of a Keyv, 5 or 6. */
export interface KeyvClient {
  get(key: string): Promise<unknown>
  getMany(keys: string[]): Promise<readonly unknown[]>
  set(key: string, value: string): Promise<unknown>
  delete(key: string): Promise<unknown>
  on(event: 'error', listener: (error: unknown) => void): unknown
  readonly store?: unknown
  readonly ttl?: number
  throwOnErrors?: boolean
}

/** Refuses what is no Keyv, and one whose entries would expire by themselves. */
export function checkKeyv(keyv: unknown): asserts keyv is KeyvClient {
  const { get, getMany, set, on, ttl } = (keyv ?? {}) as Partial<KeyvClient>
  if ([get, getMany, set, on].some((it) => typeof it !== 'function'))
    throw invalid('keyv', 'is not a Keyv; give new Keyv(adapter)')
  if (ttl) throw invalid('keyv.ttl', `is ${ttl} ms, after which fences would be lost; give a Keyv without it`)
}
