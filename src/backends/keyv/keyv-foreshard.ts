import { KeyvAdapter, type KeyvForeshardOptions } from './keyv-adapter'
import type { KeyvRouter } from './keyv-router'

/** A storage adapter of Keyv that keeps everything in a router. */
export type KeyvForeshard = KeyvAdapter

/** With `new`, as Keyv's own adapters are made, and without. */
export const KeyvForeshard = new Proxy(KeyvAdapter, {
  apply: (_, __, [router, options]: [KeyvRouter, KeyvForeshardOptions?]) => new KeyvAdapter(router, options),
}) as typeof KeyvAdapter & ((router: KeyvRouter, options?: KeyvForeshardOptions) => KeyvForeshard)
