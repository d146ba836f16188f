import { ErrorCode, ForeshardError } from '../errors'
import type { Call, IngestRequest, ShardStore } from '../shard-store'
import { FaultInjector, type FaultOptions } from './fault-injector'

/** A store seen through an unreliable connection, whose faults can be steered and counted. */
export interface FaultyStore extends ShardStore {
  readonly faults: FaultInjector
}

/**
 * Wraps any ShardStore in delays, lost requests and replies, late and repeated deliveries, outages and a full disk. The
 * contract holds on: SHARD_UNAVAILABLE and SHARD_FULL mean that nothing happened, other errors that nobody knows.
 * Several wrappers around one store are the connections of several processes.
 */
export function faultyStore(store: ShardStore, options: FaultOptions): FaultyStore {
  const faults = new FaultInjector(options)
  /** Tickets of handoffs that have begun to compare both copies. */
  const verified = new Set<number>()
  const unavailable = (reason: string) =>
    new ForeshardError(ErrorCode.SHARD_UNAVAILABLE, `the shard did not answer: ${reason}`)
  const read = <T>(send: () => Promise<T>) =>
    faults.carry({ send, unavailable, writes: false, repeatable: false })
  const write = <T>(send: () => Promise<T>) =>
    faults.carry({ send, unavailable, writes: true, repeatable: false })
  const step = <T>(send: () => Promise<T>) =>
    faults.carry({ send, unavailable, writes: true, repeatable: true })
  /** A store without room refuses as a whole whatever would add a value. */
  const withRoom = <T>(adds: boolean, send: () => Promise<T>) => {
    return () => {
      if (!faults.full || !adds) return send()
      faults.counts.refusedAsFull++
      return Promise.reject(new ForeshardError(ErrorCode.SHARD_FULL, 'the shard has no room left'))
    }
  }

  return {
    faults,
    supports: store.supports,
    get incarnation() {
      return store.incarnation
    },
    open: (binding) => read(() => store.open(binding)),
    execute: (calls) => {
      const send = withRoom(calls.some(isSet), () => store.execute(calls))
      return calls.some(isWrite) ? write(send) : read(send)
    },
    step: (at, command) => step(() => store.step(at, command)),
    found: (buckets) => step(() => store.found(buckets)),
    fences: (segments) => read(() => store.fences(segments)),
    scan: (request) => {
      if (request.as.role !== 'owner' && request.want === 'digests') verified.add(request.as.ticket)
      return read(() => store.scan(request))
    },
    changes: (request) => read(() => store.changes(request)),
    ingest: (request) => {
      const adds = request.changes.some((change) => change.entry !== undefined)
      const damaged = adds && !verified.has(request.ticket) && faults.damages()
      const sent = damaged ? withDamage(request) : request
      return step(withRoom(adds, () => store.ingest(sent)))
    },
    erase: (request) => {
      const limit = faults.rates.slowErasesMs ? 1 : request.limit
      const send = () => store.erase({ ...request, limit })
      return faults.carry({ send, unavailable, writes: true, repeatable: true, erases: true })
    },
    size: () => read(() => store.size()),
    // Closing a connection is an act of the caller's own machine.
    close: () => store.close(),
  }
}

/** The same batch, with another value of the first key that has one. */
function withDamage(request: IngestRequest): IngestRequest {
  const at = request.changes.findIndex(({ entry }) => entry?.value)
  const changes = request.changes.map((change, i) =>
    i === at ? { ...change, entry: { ...change.entry!, value: Buffer.from('"damaged"') } } : change,
  )
  return { ...request, changes }
}

function isSet(call: Call): boolean {
  return call.operation.kind === 'set'
}

function isWrite(call: Call): boolean {
  return call.operation.kind === 'set' || call.operation.kind === 'delete'
}
