import type { Placement } from '../../src/placement/assignment'
import type { AccessLogEntry } from '../../src/tracking/access-log'

/** Share of the multi-key transactions in a log that touch two shards or more under a placement. */
export function crossingOf(log: Iterable<AccessLogEntry>, placement: Placement): number {
  const touched = new Map<string, { first: string; multi: boolean; shard: string; crosses: boolean }>()
  for (const { transactionId, key } of log) {
    if (transactionId === undefined) continue
    const { shard } = placement.locate(key)
    const known = touched.get(transactionId)
    if (known === undefined) touched.set(transactionId, { first: key, multi: false, shard, crosses: false })
    else {
      if (key !== known.first) known.multi = true
      if (shard !== known.shard) known.crosses = true
    }
  }
  const multi = [...touched.values()].filter((each) => each.multi)
  return multi.length === 0 ? 0 : multi.filter(({ crosses }) => crosses).length / multi.length
}

/** Maximum over mean shard load of a whole log under a placement. */
export function imbalanceOf(log: Iterable<AccessLogEntry>, placement: Placement): number {
  const loads = new Map<string, number>(placement.shards.map((shard) => [shard, 0]))
  let all = 0
  for (const { key, count = 1 } of log) {
    const { shard } = placement.locate(key)
    loads.set(shard, loads.get(shard)! + count)
    all += count
  }
  return (Math.max(...loads.values()) * loads.size) / all
}
