import type { ShardStore } from '../../shard-store'
import type { TopologyStore } from '../../topology-store'

/** How often each store stands open: a process that dies closes nothing, and what it held must not outlive the simulation. */
export class Openings {
  readonly #open = new Map<ShardStore | TopologyStore, number>()

  counted<S extends ShardStore | TopologyStore>(store: S): S {
    const count = (by: number) => this.#open.set(store, (this.#open.get(store) ?? 0) + by)
    const opened = store.open.bind(store) as (argument: unknown) => Promise<unknown>
    return new Proxy(store, {
      get(target, name) {
        if (name === 'open')
          return (argument: unknown) => {
            const answer = opened(argument)
            answer.then(
              () => count(1),
              () => {},
            )
            return answer
          }
        if (name === 'close')
          return () => {
            count(-1)
            return target.close()
          }
        const member = Reflect.get(target, name, target)
        return typeof member === 'function' ? member.bind(target) : member
      },
    })
  }

  async closeAll(): Promise<void> {
    for (const [store, times] of this.#open)
      for (let i = 0; i < times; i++) await store.close().catch(() => undefined)
  }
}
