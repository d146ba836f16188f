import { LedgerStore } from '../backends/ledger-store'
import { logsChanges } from '../placement/fence'
import { bucketSegment, isTagSegment, type SegmentId, type ShardId } from '../placement/segment'
import type { Entry, FenceListing, ShardStore } from '../shard-store'
import type { Topology } from '../topology-store'
import { bareStore } from './external-store'

export interface Inspection {
  /** In words; empty when the deployment is at rest and nothing was left behind. */
  problems: string[]
  /** Every key that an owner serves, and where. */
  entries: Map<string, { shard: ShardId; entry: Entry }>
}

/**
 * Looks at the bare stores of a deployment in which no plan is unfinished and no grace period runs: one owner for each
 * segment and where the topology says, no export, import or trace, every key once, under the segment that governs it,
 * no change log that nobody needs, and, where `sizes` are to be compared, nothing on any disk that no owner serves.
 */
export async function inspect(
  stores: ReadonlyMap<ShardId, ShardStore>,
  topology: Topology,
  { sizes = true } = {},
): Promise<Inspection> {
  const problems: string[] = []
  const entries: Inspection['entries'] = new Map()
  if (topology.plan) problems.push(`plan ${topology.plan.id} has not ended`)
  for (const { segment, shard, epoch } of topology.retained)
    problems.push(`${segment} @ ${epoch} is still retained on ${shard}`)

  const owners = new Map<SegmentId, { shard: ShardId; epoch: number }>()
  const carved = new Map<number, ReadonlySet<string>>()
  for (const [shard, store] of stores) {
    let served = 0
    const listings = await store.fences()
    for (const listing of listings) {
      problems.push(...remains(shard, listing))
      const { segment, bucketId, record } = listing
      if (record.state !== 'owned') continue
      const other = owners.get(segment)
      if (other)
        problems.push(
          `${segment} is owned by ${other.shard} @ ${other.epoch} and by ${shard} @ ${record.epoch}`,
        )
      owners.set(segment, { shard, epoch: record.epoch })
      if (!isTagSegment(segment)) carved.set(bucketId, record.carved)
      const own = await ownedEntries(store, listing)
      if (!own) throw new Error(`${segment} changed its owner while the deployment was inspected at rest`)
      for (const entry of own) {
        served++
        const twin = entries.get(entry.key)
        if (twin) problems.push(`${entry.key} is served by ${twin.shard} and by ${shard}`)
        entries.set(entry.key, { shard, entry })
        if (isTagSegment(segment) ? segment !== `{${entry.tag}}` : record.carved.has(entry.tag))
          problems.push(`${entry.key} of tag ${entry.tag} is served under ${segment}`)
      }
    }
    const { keys } = await store.size()
    if (sizes && keys !== served)
      problems.push(`${shard} holds ${keys} keys and serves ${served}: copies were left behind`)
    problems.push(...(await logsLeft(shard, store)))
  }

  problems.push(...contradictions(topology, owners, carved))
  return { problems, entries }
}

/** Change logs that nobody will read or clear, where the store can be looked into. */
async function logsLeft(shard: ShardId, store: ShardStore): Promise<string[]> {
  const ledger = LedgerStore.ledgerOf(bareStore(store))
  if (!ledger) return []
  return ledger.read(() =>
    [...ledger.buckets()].flatMap((bucketId) => {
      const bucket = ledger.bucket(bucketId)
      return [bucketSegment(bucketId), ...bucket.tags()]
        .filter((segment) => !logsChanges(bucket.record(segment)) && bucket.logged(segment, -1, 1).length > 0)
        .map((segment) => `${segment} has a change log on ${shard}, where nobody exports or traces it`)
    }),
  )
}

function remains(shard: ShardId, { segment, record }: FenceListing): string[] {
  const problems: string[] = []
  if (record.state === 'importing')
    problems.push(`${segment} is still importing on ${shard} @ ${record.epoch}`)
  if (record.export !== 0)
    problems.push(`${segment} is still exported by ${shard} under ticket ${record.export}`)
  if (record.trace) problems.push(`${segment} is still traced on ${shard}`)
  if (record.holdUntil !== 0) problems.push(`${segment} still has a hold on ${shard}`)
  return problems
}

/** The topology lags behind the fences while something goes on, and says the same when nothing does. */
function contradictions(
  topology: Topology,
  owners: ReadonlyMap<SegmentId, { shard: ShardId; epoch: number }>,
  carved: ReadonlyMap<number, ReadonlySet<string>>,
): string[] {
  const problems: string[] = []
  const assigned = new Set<SegmentId>()
  for (const { segment, shard, epoch } of topology.assignments) {
    if (shard === undefined) continue
    assigned.add(segment)
    const owner = owners.get(segment)
    if (!owner) problems.push(`nobody owns ${segment}, which the topology assigns to ${shard} @ ${epoch}`)
    else if (owner.shard !== shard || owner.epoch !== epoch)
      problems.push(
        `${segment} is owned by ${owner.shard} @ ${owner.epoch}, and the topology says ${shard} @ ${epoch}`,
      )
  }
  for (const [segment, { shard }] of owners)
    if (!assigned.has(segment))
      problems.push(`${segment} is owned by ${shard}, and the topology does not know it`)
  for (const [bucketId, tags] of carved)
    for (const tag of tags)
      if (!owners.has(`{${tag}}`))
        problems.push(`{${tag}} is carved out of ${bucketSegment(bucketId)} and nobody owns it`)
  for (let bucketId = 0; bucketId < topology.buckets; bucketId++)
    if (!owners.has(bucketSegment(bucketId))) problems.push(`nobody owns bucket #${bucketId}`)
  return problems
}

/** What a store serves, segment by segment; also while segments come and go. */
export async function servedEntries(store: ShardStore): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const listing of await store.fences())
    if (listing.record.state === 'owned') entries.push(...((await ownedEntries(store, listing)) ?? []))
  return entries
}

/** Undefined: it is not owned any more. */
async function ownedEntries(
  store: ShardStore,
  { segment, bucketId, record }: FenceListing,
): Promise<Entry[] | undefined> {
  const entries: Entry[] = []
  let cursor: string | undefined
  do {
    const page = await store.scan({
      segment,
      bucketId,
      as: { role: 'owner', epoch: record.epoch },
      want: 'values',
      cursor,
      limit: 1_000,
    })
    if (!page.ok) return undefined
    entries.push(...page.entries)
    cursor = page.next
  } while (cursor !== undefined)
  return entries
}
