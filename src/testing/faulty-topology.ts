import { ErrorCode, ForeshardError } from '../errors'
import type { TopologyStore } from '../topology-store'
import { FaultInjector, type FaultOptions } from './fault-injector'

export interface FaultyTopology extends TopologyStore {
  readonly faults: FaultInjector
}

/** Wraps any TopologyStore as faultyStore wraps a shard. A lost hint is a lost request: nobody is told. */
export function faultyTopology(topology: TopologyStore, options: FaultOptions): FaultyTopology {
  const faults = new FaultInjector(options)
  const unavailable = (reason: string) =>
    new ForeshardError(ErrorCode.TOPOLOGY_UNAVAILABLE, `the topology did not answer: ${reason}`)
  const read = <T>(send: () => Promise<T>) =>
    faults.carry({ send, unavailable, writes: false, repeatable: false })
  /** Whoever asks the topology asks again where it got no answer, so that every change may arrive twice. */
  const write = <T>(send: () => Promise<T>) =>
    faults.carry({ send, unavailable, writes: true, repeatable: true })

  return {
    faults,
    supports: topology.supports,
    open: (founding) => read(() => topology.open(founding)),
    read: () => read(() => topology.read()),
    changesSince: (revision) => read(() => topology.changesSince(revision)),
    commit: (change) => write(() => topology.commit(change)),
    drawTicket: () => write(() => topology.drawTicket()),
    acquireLease: (holder, durationMs) => write(() => topology.acquireLease(holder, durationMs)),
    renewLease: (holder, term, durationMs) => write(() => topology.renewLease(holder, term, durationMs)),
    releaseLease: (holder, term) => write(() => topology.releaseLease(holder, term)),
    watch: (listener) =>
      topology.watch((delta) => {
        const hint = { send: async () => listener(delta), unavailable, writes: false, repeatable: false }
        faults.carry(hint).catch(() => {})
      }),
    close: () => topology.close(),
  }
}
