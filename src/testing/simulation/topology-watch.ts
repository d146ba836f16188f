import type { SegmentId, ShardId } from '../../placement/segment'
import type { Lease, TopologyDelta, TopologyStore } from '../../topology-store'

export interface TopologyWatchOptions {
  readonly complain: (what: string) => void
  /** The epoch of a segment's fence on a shard now. */
  readonly epochAt: (shard: ShardId, segment: SegmentId) => number
}

/**
 * Looks at the bare topology store after every change: tickets are never drawn twice, terms grow, an old term commits
 * nothing, assignments never go back, and none runs ahead of the fences.
 */
export function watchedTopology(topology: TopologyStore, options: TopologyWatchOptions): TopologyStore {
  const { complain, epochAt } = options
  let ticket = 0
  let lease: Lease | undefined
  const seen = new Set<number>()
  const published = new Map<SegmentId, { epoch: number; shard: ShardId | undefined }>()

  const check = ({ assignments = [], revision }: TopologyDelta) => {
    for (const { segment, shard, epoch } of assignments) {
      const before = published.get(segment)
      // A merge ends the life that its epoch belongs to, the last epoch of that life included.
      if (before && (shard === undefined ? before.epoch > epoch : before.epoch >= epoch))
        complain(
          `the topology took ${segment} on ${shard} @ ${epoch} at revision ${revision}, it had it @ ${before.epoch}`,
        )
      published.set(segment, { shard, epoch })
      if (shard !== undefined && epochAt(shard, segment) < epoch)
        complain(
          `the topology has ${segment} on ${shard} @ ${epoch}, the shard itself @ ${epochAt(shard, segment)}`,
        )
    }
  }

  return {
    supports: topology.supports,
    open: (founding) => topology.open(founding),
    read: () => topology.read(),
    changesSince: (revision) => topology.changesSince(revision),
    commit: (change) => {
      const term = change.expect?.term
      const committed = topology.commit(change).then(async (revision) => {
        if (revision === undefined) return revision
        if (term !== undefined && lease && term < lease.term)
          complain(
            `the topology took a change under term ${term}, when ${lease.holder} had term ${lease.term}`,
          )
        return revision
      })
      const deltas =
        change.assignments &&
        committed.then(async (revision) => {
          if (revision === undefined) return
          const [delta] = (await topology.changesSince(revision - 1)) ?? []
          if (delta?.revision === revision && !seen.has(revision)) {
            seen.add(revision)
            check(delta)
          }
        })
      deltas?.catch((error) => complain(`the watch failed: ${error.stack}`))
      return committed
    },
    drawTicket: async () => {
      const drawn = await topology.drawTicket()
      if (drawn <= ticket) complain(`ticket ${drawn} was drawn after ${ticket}`)
      ticket = Math.max(ticket, drawn)
      return drawn
    },
    acquireLease: async (holder, durationMs) => {
      const taken = await topology.acquireLease(holder, durationMs)
      if (
        taken &&
        lease &&
        (taken.holder === lease.holder ? taken.term < lease.term : taken.term <= lease.term)
      )
        complain(
          `${holder} has the lease at term ${taken.term}, after ${lease.holder} had term ${lease.term}`,
        )
      lease = taken ?? lease
      return taken
    },
    renewLease: async (holder, term, durationMs) => {
      const renewed = await topology.renewLease(holder, term, durationMs)
      if (renewed && lease && (term !== lease.term || holder !== lease.holder))
        complain(`${holder} renewed term ${term}, when ${lease.holder} had term ${lease.term}`)
      return renewed
    },
    releaseLease: (holder, term) => topology.releaseLease(holder, term),
    watch: (listener) => topology.watch(listener),
    close: () => topology.close(),
  }
}
