import { memoryTopology } from '../backends/memory/memory-topology'
import type { Clock } from '../clock'
import { ErrorCode, ForeshardError, isForeshardError } from '../errors'
import { HashRing } from '../placement/ring'
import { bucketOfSegment, type ShardId } from '../placement/segment'
import { differenceOfTagRules } from '../placement/tag-fingerprint'
import type { ShardStore } from '../shard-store'
import type { Founding, ShardEntry, Topology } from '../topology-store'
import type { CheckedOptions } from './options'
import { type Opened, unavailable } from './topology-feed'

/** Routers that open at the same time change the same document; each of them wins at last. */
const RACES = 32

/**
 * Opens the topology, founding it where there is none, then the stores. A founder may have crashed half way: whoever
 * comes next does the same steps again, which change nothing where they were done before:
 * the assignments are written; every store is bound; every first owner is told; `founded` is written.
 * What was opened is closed again where it fails.
 */
export async function openDeployment(options: CheckedOptions): Promise<Opened> {
  const store = options.topology ?? memoryTopology({ clock: options.clock, random: options.random })
  const ring = new HashRing(options.shards, { buckets: options.buckets })
  const { buckets, seed, tagRule } = options
  const founding: Founding = { buckets, seed, shards: ring.shards, owners: ring.assignment(), tagRule }
  const opened: ShardStore[] = []
  let topology = await store.open(founding).catch((error) => {
    throw unavailable(error)
  })
  try {
    checkAgreement(topology, options)
    const incarnations = new Map<ShardId, string>()
    for (const [id, shard] of options.stores) {
      incarnations.set(id, await openStore(id, shard, topology, options.clock))
      opened.push(shard)
    }
    for (let race = 0; race < RACES; race++) {
      if (!topology.founded) await tellFirstOwners(topology, options.stores)
      const shards = shardEntries(topology, options, incarnations)
      if (!shards && topology.founded && topology.tagRule) return { topology, store, incarnations }
      await store.commit({
        expect: { revision: topology.revision },
        ...(shards ? { shards } : {}),
        ...(topology.founded ? {} : { founded: true as const }),
        // Of one that was founded without: from now on all have to agree with this one.
        ...(topology.tagRule ? {} : { tagRule }),
      })
      topology = await store.read()
      checkTagRule(topology, options)
    }
    throw new ForeshardError(
      ErrorCode.TOPOLOGY_UNAVAILABLE,
      `the topology changed ${RACES} times while it was opened; try again`,
    )
  } catch (error) {
    await Promise.allSettled(opened.map((it) => it.close()))
    await store.close().catch(() => {})
    throw unavailable(error)
  }
}

/** Binds a store to its shard; returns its incarnation. */
export async function openStore(
  shard: ShardId,
  store: ShardStore,
  { id, buckets }: Pick<Topology, 'id' | 'buckets'>,
  clock: Clock,
): Promise<string> {
  try {
    return (await store.open({ topologyId: id, shard, buckets, clock })).incarnation
  } catch (error) {
    if (isForeshardError(error)) throw error
    const message = error instanceof Error ? error.message : String(error)
    throw new ForeshardError(ErrorCode.SHARD_UNAVAILABLE, `shard ${shard} could not be opened: ${message}`, {
      shard,
      cause: error,
    })
  }
}

function checkTagRule({ tagRule }: Topology, options: CheckedOptions): void {
  const difference = tagRule && differenceOfTagRules(options.tagRule, tagRule)
  if (difference)
    throw new ForeshardError(
      ErrorCode.TOPOLOGY_MISMATCH,
      `options.schema gives keys other tags than the schema in the topology: ${difference}; keys would be looked for where ` +
        'they are not: open with the schema and relationships of the other routers',
      { field: 'options.schema' },
    )
}

function checkAgreement(topology: Topology, options: CheckedOptions): void {
  const { wanted, stores } = options
  for (const field of ['buckets', 'seed'] as const)
    if (wanted[field] !== undefined && wanted[field] !== topology[field])
      throw new ForeshardError(
        ErrorCode.TOPOLOGY_MISMATCH,
        `options.${field} is ${wanted[field]}, but the topology was founded with ${topology[field]}; ` +
          'it is fixed for the life of a deployment: leave the option out, or name another topology',
        { field: `options.${field}` },
      )
  checkTagRule(topology, options)
  for (const { id, state } of topology.shards) {
    // A drained shard may be left away for good.
    if (stores.has(id) || (state === 'draining' && !owns(topology, id))) continue
    throw new ForeshardError(
      ErrorCode.TOPOLOGY_MISMATCH,
      `options.shards has no store for shard ${id}, which the topology has; give its store, or drain it first`,
      { field: 'options.shards', shard: id },
    )
  }
}

function owns({ assignments }: Topology, id: ShardId): boolean {
  for (const { shard } of assignments) if (shard === id) return true
  return false
}

/** Every first owner learns of its buckets. A store that has a history of a bucket leaves it as it is. */
async function tellFirstOwners(topology: Topology, stores: ReadonlyMap<ShardId, ShardStore>): Promise<void> {
  const buckets = new Map<ShardId, number[]>(topology.shards.map(({ id }) => [id, []]))
  for (const { segment, shard } of topology.assignments) {
    const bucketId = bucketOfSegment(segment)
    if (bucketId !== undefined) buckets.get(shard!)?.push(bucketId)
  }
  await Promise.all([...buckets].map(([id, its]) => stores.get(id)!.found(its)))
}

/** The topology's shards with those that join, and with the incarnations of those that are new; undefined if none is. */
function shardEntries(
  topology: Topology,
  { shards }: CheckedOptions,
  incarnations: ReadonlyMap<ShardId, string>,
): ShardEntry[] | undefined {
  let changed = false
  const entries: ShardEntry[] = []
  for (const entry of topology.shards) {
    // One that came back under another name keeps the old one until its fences have been compared.
    const incarnation = entry.incarnation || (incarnations.get(entry.id) ?? '')
    if (incarnation !== entry.incarnation) changed = true
    entries.push({ ...entry, incarnation })
  }
  const known = new Set(entries.map(({ id }) => id))
  for (const { id, weight } of shards) {
    if (known.has(id)) continue
    entries.push({ id, weight, state: 'active', incarnation: incarnations.get(id)! })
    changed = true
  }
  return changed ? entries : undefined
}
