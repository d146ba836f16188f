import { ErrorCode, ForeshardError, invalid } from '../../errors'
import {
  bucketSegment,
  checkSegment,
  isTagSegment,
  MAX_BUCKETS,
  type SegmentId,
  type ShardId,
} from '../../placement/segment'
import type {
  AssignmentEntry,
  Founding,
  HistoryEntry,
  PlanEntry,
  RetainedEntry,
  ShardEntry,
  TagRuleEntry,
  Topology,
  TopologyChange,
  TopologyDelta,
} from '../../topology-store'
import { faultOfDelta, faultOfTopology, foundingSeal } from '../topology-faults'
import { retainedName } from '../topology-ledger'
import type { Reply } from './connection'

/** The topology as it is kept in Redis, described in lua/topology.ts. */

/** Of the keys of a topology. Those of a newer format are refused, never guessed at. */
const FORMAT = 1

/** The first owners of all buckets in one text: bytes of an Int32Array, little-endian, in base64. */
interface StoredFounding {
  readonly shards: readonly ShardId[]
  readonly owners: string
}

export function checkFounding({ buckets, shards, owners }: Founding): void {
  if (owners.length !== buckets)
    throw invalid('founding.owners', `must name an owner for each of ${buckets} buckets`)
  for (const owner of owners)
    if (!shards[owner]) throw invalid('founding.owners', `names shard ${owner} of ${shards.length}`)
}

export function foundingArguments(
  id: string,
  { buckets, seed, shards, owners, tagRule }: Founding,
): string[] {
  const entries = shards.map(({ id, weight }) => ({ id, weight, state: 'active', incarnation: '' }))
  const bytes = Buffer.alloc(owners.length * 4)
  for (const [bucketId, owner] of owners.entries()) bytes.writeInt32LE(owner, bucketId * 4)
  const founding: StoredFounding = { shards: shards.map((it) => it.id), owners: bytes.toString('base64') }
  return [
    id,
    String(buckets),
    String(seed),
    JSON.stringify(entries),
    JSON.stringify(founding),
    tagRule ? JSON.stringify(tagRule) : '',
    String(FORMAT),
    foundingSeal({ id, buckets, seed }),
  ]
}

/** What every reader relies on; whether the shards are known is for the server to say. */
export function checkChange({ assignments = [] }: TopologyChange, buckets: number): void {
  for (const [i, { segment, shard, epoch }] of assignments.entries()) {
    const field = `change.assignments[${i}]`
    checkSegment(segment, buckets, `${field}.segment`)
    if (!Number.isSafeInteger(epoch) || epoch < 1)
      throw invalid(`${field}.epoch`, 'must be a whole number from 1')
    if (shard === undefined && !isTagSegment(segment))
      throw invalid(`${field}.shard`, 'is missing; only a tag can be merged away')
    if (shard === '') throw invalid(`${field}.shard`, 'is empty; a shard has a name')
  }
}

/** The arguments of COMMIT_LUA. */
export function changeArguments(
  change: TopologyChange,
  channel: string,
  deltas: number,
  histories: number,
  messageBytes: number,
): string[] {
  const { expect = {}, assignments = [], ...rest } = change
  const { founded, shards, tagRule, plan, history = [], retain = [], release = [] } = rest
  const text = (value: number | undefined) => (value === undefined ? '' : String(value))
  const expectedPlan = expect.plan === undefined ? '' : expect.plan === null ? 'none' : `=${expect.plan}`
  const retained = retain.flatMap((it) => [retainedName(it), JSON.stringify(it)])
  // What is retained anew takes the place of what was.
  const args = [
    text(expect.revision),
    text(expect.term),
    expectedPlan,
    channel,
    String(deltas),
    String(histories),
  ]
  args.push(JSON.stringify(rest), founded ? '1' : '', shards ? JSON.stringify(shards) : '')
  args.push(shards ? JSON.stringify(shards.map(({ id }) => id)) : '')
  args.push(plan === undefined ? '' : plan === null ? 'none' : JSON.stringify(plan), plan?.id ?? '')
  args.push(JSON.stringify(history.map((it) => JSON.stringify(it))), JSON.stringify(retained))
  args.push(JSON.stringify(release.map(retainedName)))
  args.push(tagRule ? JSON.stringify(tagRule) : '', String(messageBytes))
  for (const { segment, shard, epoch } of assignments) args.push(segment, shard ?? '', String(epoch))
  return args
}

/** A change as it was published; undefined for what is none: whoever hears it reads the changes. */
export function decodeMessage(message: string, buckets: number): TopologyDelta | undefined {
  try {
    const delta = decodeDelta(message)
    checkChange(delta, buckets)
    return Number.isSafeInteger(delta.revision) ? delta : undefined
  } catch {
    return undefined
  }
}

export function decodeDelta(reply: Reply): TopologyDelta {
  return readable(() => {
    const { revision, assignments, rest } = parse(String(reply)) as {
      revision: number
      assignments: [SegmentId, ShardId, number][] | Record<string, never>
      rest: Omit<TopologyDelta, 'revision'>
    }
    const entries = (Array.isArray(assignments) ? assignments : []).map(([segment, shard, epoch]) => ({
      segment,
      shard: shard === '' ? undefined : shard,
      epoch,
    }))
    const delta = entries.length === 0 ? { ...rest, revision } : { ...rest, assignments: entries, revision }
    // Whether its buckets are those of this topology is for whoever takes it in.
    const fault = faultOfDelta(delta, MAX_BUCKETS)
    if (fault) throw new Error(`of a change, ${fault}`)
    return delta
  })
}

export function decodeTopology(reply: readonly Reply[]): Topology {
  return readable(() => {
    const [fields, changed, history, retained] = reply as [Reply[], Reply[], Reply[], Reply[]]
    const [id, revision, buckets, seed, founded, shards, plan, founding, tagRule, format, seal] = fields.map(
      (it) => (it === null ? '' : String(it)),
    ) as string[] as [string, string, string, string, string, string, string, string, string, string, string]
    if (Number(format) !== FORMAT)
      throw new Error(`it has format ${format}, this version of foreshard reads format ${FORMAT}; update it`)
    const entries = history.map((it) => JSON.parse(String(it)) as HistoryEntry)
    const kept = retained.map((it) => JSON.parse(String(it)) as RetainedEntry)
    if (seal !== foundingSeal({ id, buckets: Number(buckets), seed: Number(seed) }))
      throw new Error('its id, number of buckets or seed is not the one that it was founded with')
    const topology = {
      id,
      revision: Number(revision),
      buckets: Number(buckets),
      seed: Number(seed),
      founded: founded === '1',
      shards: JSON.parse(shards) as ShardEntry[],
      tagRule: tagRule === '' ? undefined : (JSON.parse(tagRule) as TagRuleEntry),
      assignments: assignmentsOf(Number(buckets), JSON.parse(founding) as StoredFounding, changed),
      plan: plan === '' ? undefined : (parse(plan) as PlanEntry),
      history: entries,
      retained: kept.sort((a, b) => a.until - b.until || (retainedName(a) < retainedName(b) ? -1 : 1)),
    }
    const fault = faultOfTopology(topology)
    if (fault) throw new Error(fault)
    return topology
  })
}

/** Every bucket, as it was founded or as it is now, then every carved tag. */
function assignmentsOf(buckets: number, founding: StoredFounding, changed: Reply[]): AssignmentEntry[] {
  const bytes = Buffer.from(founding.owners, 'base64')
  if (bytes.length !== buckets * 4) throw new Error('the first owners are cut')
  const assignments: AssignmentEntry[] = []
  for (let bucketId = 0; bucketId < buckets; bucketId++) {
    const shard = founding.shards[bytes.readInt32LE(bucketId * 4)]
    if (shard === undefined) throw new Error(`bucket ${bucketId} has no first owner`)
    assignments.push({ segment: bucketSegment(bucketId), shard, epoch: 1 })
  }
  for (let i = 0; i < changed.length; i += 2) {
    const segment = String(changed[i])
    checkSegment(segment, buckets, 'segment')
    const found = /^(\d+) (.*)$/s.exec(String(changed[i + 1]))!
    const entry = { segment, shard: found[2]!, epoch: Number(found[1]) }
    if (!Number.isSafeInteger(entry.epoch) || entry.epoch < 1) throw new Error(`${segment} has no epoch`)
    if (!isTagSegment(segment)) assignments[Number(segment.slice(1))] = entry
    else if (entry.shard !== '') assignments.push(entry)
  }
  return assignments
}

/** JSON has no Infinity: a limit of a plan that is none was written as null. */
function parse(text: string): unknown {
  return JSON.parse(text, (name, value) =>
    value === null && /^max(Keys|Bytes)PerSecond$/.test(name) ? Number.POSITIVE_INFINITY : value,
  )
}

function readable<T>(decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    throw new ForeshardError(
      ErrorCode.TOPOLOGY_CORRUPT,
      `the topology in Redis cannot be read: ${(cause as Error).message}; restore its keys from a backup`,
      { cause },
    )
  }
}
