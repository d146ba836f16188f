import type { ShardStore } from '../shard-store'
import type { TopologyStore } from '../topology-store'
import type { VirtualTime } from './virtual-time'

/** A store that does real work, made part of a simulation: virtual time waits for it. */
export function externalStore<S extends ShardStore | TopologyStore>(store: S, time: VirtualTime): S {
  return new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      if (name === 'watch') return member.bind(target)
      return (...args: unknown[]) => time.external(() => member.apply(target, args))
    },
  })
}
