import { type Clock, systemClock } from '../clock'
import { ErrorCode, ForeshardError, invalid, isForeshardError, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import { Placement } from '../placement/assignment'
import { bucketSegment, type ShardId, tagSegment } from '../placement/segment'
import type { DataRelationships, SchemaInfo } from '../placement/tag'
import type { KeyToEnter, ShardAdoption, ShardStore } from '../shard-store'
import type { TopologyStore } from '../topology-store'
import { AdoptionCensus, type AdoptionPlan } from './adoption-plan'
import { checkOptions } from './options'
import { ShardRouter } from './router'

export interface AdoptOptions {
  /** Stores of the databases as they are, by the names that they are to have. */
  shards: Readonly<Record<ShardId, ShardStore>>
  /** Where assignments are to live. */
  topology: TopologyStore
  buckets?: number
  seed?: number
  schema?: SchemaInfo
  relationships?: DataRelationships
  /** Only counts. Nothing is written. */
  dryRun?: boolean
  onProgress?: (progress: AdoptionProgress) => void
  clock?: Clock
}

export interface AdoptionProgress {
  readonly phase: 'counting' | 'carving' | 'entering' | 'copying'
  /** Keys, or of carving tags. */
  readonly done: number
}

export interface AdoptionReport extends AdoptionPlan {
  readonly dryRun: boolean
  /** Keys that are now Foreshard's, those that were before not among them. */
  readonly entered: number
  /** Keys that lay apart from their tag and are on its shard too now, and those of them that another value was there of. */
  readonly brought: number
  readonly conflicts: readonly string[]
}

export interface ReleaseOptions {
  shards: Readonly<Record<ShardId, ShardStore>>
  topology: TopologyStore
  schema?: SchemaInfo
  relationships?: DataRelationships
  /** Where another client will look for a key: it is brought there. Left out: every key stays where it lies. */
  shardOf?: (key: string) => ShardId
  clock?: Clock
}

export interface ReleaseReport {
  /** Keys that were brought to where they are looked for. */
  readonly moved: number
  /** Copies of keys that Foreshard had deleted, which would have come back. */
  readonly removed: number
}

const ADOPT_FIELDS: Fields<AdoptOptions> = {
  shards: true,
  topology: true,
  buckets: true,
  seed: true,
  schema: true,
  relationships: true,
  dryRun: true,
  onProgress: true,
  clock: true,
}
const RELEASE_FIELDS: Fields<ReleaseOptions> = {
  shards: true,
  topology: true,
  schema: true,
  relationships: true,
  shardOf: true,
  clock: true,
}
/** Tags of one resharding. */
const CARVED_AT_ONCE = 500
const CONCURRENCY = 16
/** Conflicts that are named. */
const NAMED_CONFLICTS = 1000

/**
 * Takes over databases as they are. Each bucket is given to the shard that has most of it, tags that lie elsewhere are
 * carved out and given to the shard that they lie on, and keys become entries where they are. Only keys that lie apart from the
 * rest of their tag are copied. May be called again after it was interrupted. Nobody else may write meanwhile.
 * @throws NOT_SUPPORTED for a store that cannot take over what lies there.
 */
export async function adopt(options: AdoptOptions): Promise<AdoptionReport> {
  checkFields(options, ADOPT_FIELDS, 'options')
  const { dryRun = false, onProgress = () => {}, topology } = options
  if (typeof dryRun !== 'boolean')
    throw invalid('options.dryRun', `must be true or false, not ${shown(dryRun)}`)
  if (typeof topology?.changesSince !== 'function')
    throw invalid('options.topology', 'is not a topology store; give redisTopology(client) or the like')
  const adoptions = adoptionsOf(options.shards)
  const ids = [...adoptions.keys()]
  const { shards, buckets, seed, schema, relationships, clock = systemClock } = options
  const routing = { shards, topology, buckets, seed, schema, relationships, clock }
  const { tagOf, tagRule, buckets: wantedBuckets, seed: wantedSeed } = checkOptions(routing)

  const hashing = Placement.initial({
    shards: ids,
    buckets: wantedBuckets,
    seed: wantedSeed,
    schema,
    relationships,
  })
  const census = new AdoptionCensus(ids, wantedBuckets, (tag) => hashing.bucketOfTag(tag))
  let counted = 0
  for (const [i, id] of ids.entries())
    for await (const page of pagesOf(adoptions.get(id)!)) {
      census.left += page.unreadable
      for (const key of page.keys) census.add(i, tagOf(key))
      counted += page.keys.length
      onProgress({ phase: 'counting', done: counted })
    }
  const owners = census.owners()
  const plan = census.plan(owners)
  if (dryRun) return { ...plan, dryRun, entered: 0, brought: 0, conflicts: [] }

  const founding = { buckets: wantedBuckets, seed: wantedSeed, owners, tagRule }
  const stands = await topology.open({ ...founding, shards: ids.map((id) => ({ id, weight: 1 })) })
  try {
    if (stands.buckets !== wantedBuckets || stands.seed !== wantedSeed)
      throw new ForeshardError(
        ErrorCode.TOPOLOGY_MISMATCH,
        `the topology was founded with buckets ${stands.buckets} and seed ${stands.seed}; adopt with these`,
        { field: 'options.buckets' },
      )
    const router = await ShardRouter.open(routing)
    try {
      await carve(router, census.places(), onProgress)
      return { ...plan, dryRun, ...(await enterAll(router, adoptions, onProgress, plan.left)) }
    } finally {
      await router.close()
    }
  } finally {
    await topology.close()
  }
}

/** Tags go to the shards that they lie on. Nothing of theirs is an entry yet: nothing is copied. */
async function carve(
  router: ShardRouter,
  places: Iterable<[tag: string, shard: ShardId]>,
  onProgress: (progress: AdoptionProgress) => void,
): Promise<void> {
  let done = 0
  let some = new Map<`{${string}}`, ShardId>()
  const move = async () => {
    if (some.size === 0) return
    const resharding = await router.requestResharding(1, some, {
      verify: false,
      concurrency: CONCURRENCY,
      reason: 'adopted where it lies',
    })
    const outcome = resharding.accepted ? (await resharding.done).outcome : resharding.reason
    if (outcome !== 'done')
      throw new ForeshardError(
        ErrorCode.TOPOLOGY_UNAVAILABLE,
        `tags could not be carved (${outcome}); adopt again, it goes on from there`,
      )
    done += some.size
    onProgress({ phase: 'carving', done })
    some = new Map()
  }
  for (const [tag, shard] of places) {
    const { placement } = router
    const at =
      placement.shardOf(tagSegment(tag)) ?? placement.shardOf(bucketSegment(placement.bucketOfTag(tag)))
    if (at === shard) continue
    some.set(tagSegment(tag) as `{${string}}`, shard)
    if (some.size === CARVED_AT_ONCE) await move()
  }
  await move()
}

async function enterAll(
  router: ShardRouter,
  adoptions: ReadonlyMap<ShardId, ShardAdoption>,
  onProgress: (progress: AdoptionProgress) => void,
  unreadable: number,
): Promise<Pick<AdoptionReport, 'entered' | 'brought' | 'conflicts' | 'left'>> {
  let left = unreadable
  let entered = 0
  let brought = 0
  let seen = 0
  const conflicts: string[] = []
  for (const [id, adoption] of adoptions)
    for await (const { keys } of pagesOf(adoption)) {
      const here: KeyToEnter[] = []
      for (const key of keys) {
        const at = placeOf(router, key)
        if (!at) left++
        else if (at.shard === id) here.push(at)
      }
      for (const answer of await adoption.enter(here)) {
        if (answer === 'refused') throw unsettled()
        if (answer === 'entered') entered++
      }
      seen += keys.length
      onProgress({ phase: 'entering', done: seen })
    }
  // Only now is it known of every key whether its own shard has it.
  for (const [id, adoption] of adoptions)
    for await (const { keys } of pagesOf(adoption)) {
      const apart = keys.filter((key) => (placeOf(router, key)?.shard ?? id) !== id)
      const values = await adoption.read(apart)
      for (const [i, key] of apart.entries()) {
        const { shard, ...at } = placeOf(router, key)!
        const value = values[i]
        if (!value) continue
        const [answer] = await adoptions.get(shard)!.enter([{ ...at, value }])
        if (answer === 'refused') throw unsettled()
        if (answer === 'entered') brought++
        else if (conflicts.length < NAMED_CONFLICTS) conflicts.push(key)
        onProgress({ phase: 'copying', done: brought })
      }
    }
  return { entered, brought, conflicts, left }
}

/**
 * Gives databases back: every record of ours is deleted, and every key stays where it lies, or is brought to where `shardOf`
 * says that it will be looked for. Close all routers before. The topology store is not touched, unless it lies in one of
 * the databases under our prefix.
 */
export async function release(options: ReleaseOptions): Promise<ReleaseReport> {
  checkFields(options, RELEASE_FIELDS, 'options')
  const { shards, topology, schema, relationships, shardOf, clock = systemClock } = options
  if (shardOf !== undefined && typeof shardOf !== 'function')
    throw invalid('options.shardOf', 'must be a function from a key to the name of its shard')
  const adoptions = adoptionsOf(shards)
  let moved = 0
  let removed = 0
  const router = await ShardRouter.open({ shards, topology, schema, relationships, clock })
  try {
    for (const [id, adoption] of adoptions)
      for await (const { keys } of pagesOf(adoption)) {
        const gone = await deletedOf(router, adoptions, id, keys)
        await adoption.remove(gone)
        removed += gone.length
      }
    // In this order: whoever is interrupted and begins again finds every key on its own shard, or its entry there.
    const astray = (id: ShardId, key: string) => {
      const to = shardOf!(key)
      if (!adoptions.has(to))
        throw invalid('options.shardOf', `answers ${shown(to)}, which is none of options.shards`)
      return to !== id && placeOf(router, key)?.shard === id ? to : undefined
    }
    if (shardOf) {
      for (const [id, adoption] of adoptions)
        for await (const { keys } of pagesOf(adoption))
          moved += await copyOut(adoption, adoptions, keys, (key) => astray(id, key))
      for (const [id, adoption] of adoptions)
        for await (const { keys } of pagesOf(adoption))
          await adoption.remove(keys.filter((key) => astray(id, key) !== undefined))
    }
  } finally {
    await router.close()
  }
  for (const adoption of adoptions.values()) await adoption.release()
  return { moved, removed }
}

/** Of keys that lie on another shard than their own: those of which their own has no entry. */
async function deletedOf(
  router: ShardRouter,
  adoptions: ReadonlyMap<ShardId, ShardAdoption>,
  id: ShardId,
  keys: readonly string[],
): Promise<string[]> {
  const asked = new Map<ShardId, KeyToEnter[]>()
  for (const key of keys) {
    const at = placeOf(router, key)
    if (at && at.shard !== id) asked.set(at.shard, [...(asked.get(at.shard) ?? []), at])
  }
  const gone: string[] = []
  for (const [shard, its] of asked)
    for (const [i, answer] of (await adoptions.get(shard)!.enter(its)).entries())
      if (answer === 'absent') gone.push(its[i]!.key)
  return gone
}

/** Copies keys to the shards that they are to be on; answers how many. */
async function copyOut(
  from: ShardAdoption,
  adoptions: ReadonlyMap<ShardId, ShardAdoption>,
  keys: readonly string[],
  target: (key: string) => ShardId | undefined,
): Promise<number> {
  const wanted = new Map<ShardId, string[]>()
  for (const key of keys) {
    const to = target(key)
    if (to !== undefined) wanted.set(to, [...(wanted.get(to) ?? []), key])
  }
  let copied = 0
  for (const [to, its] of wanted) {
    const values = await from.read(its)
    const found = its.flatMap((key, i) => (values[i] ? [{ key, value: values[i] }] : []))
    await adoptions.get(to)!.write(found)
    copied += found.length
  }
  return copied
}

/** undefined for a key that no router would take. */
function placeOf(router: ShardRouter, key: string): (KeyToEnter & { shard: ShardId }) | undefined {
  try {
    const { shard, segment, bucketId, epoch } = router.locate(key)
    return { key, tag: router.placement.tagOf(key), shard, segment, bucketId, epoch }
  } catch (error) {
    if (isForeshardError(error, ErrorCode.INVALID_KEY)) return undefined
    throw error
  }
}

async function* pagesOf(adoption: ShardAdoption) {
  let cursor: string | undefined
  do {
    const page = await adoption.keys(cursor)
    yield page
    cursor = page.next
  } while (cursor !== undefined)
}

function adoptionsOf(shards: AdoptOptions['shards']): Map<ShardId, ShardAdoption> {
  if (shards === null || typeof shards !== 'object' || Object.keys(shards).length === 0)
    throw invalid('options.shards', 'must be an object from the name of a shard to its store')
  return new Map(
    Object.entries(shards).map(([id, store]) => {
      const adoption = store?.adoption
      if (!adoption)
        throw new ForeshardError(
          ErrorCode.NOT_SUPPORTED,
          `options.shards.${id}: this store cannot take over what lies there; redisStore can`,
          { field: `options.shards.${id}`, shard: id },
        )
      return [id, adoption]
    }),
  )
}

function unsettled(): ForeshardError {
  return new ForeshardError(
    ErrorCode.TOPOLOGY_UNAVAILABLE,
    'segments moved while their keys were entered; adopt again when no resharding is under way, it goes on from there',
  )
}
