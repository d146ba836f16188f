import type { ShardStore } from '../shard-store'
import type { TopologyStore } from '../topology-store'
import type { VirtualTime } from './virtual-time'

const bare = new WeakMap<object, object>()

/** What a store that was made external does its work with; any other is that itself. */
export function bareStore<S extends ShardStore>(store: S): S {
  return (bare.get(store) as S | undefined) ?? store
}

/** A store that does real work, made part of a simulation: virtual time waits for it. */
export function externalStore<S extends ShardStore | TopologyStore>(store: S, time: VirtualTime): S {
  const external = new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      if (name === 'watch') return member.bind(target)
      return (...args: unknown[]) => time.external(() => member.apply(target, args))
    },
  })
  bare.set(external, store)
  return external
}
