import { ErrorCode, ForeshardError } from '../../errors'
import type { Assignment } from '../../placement/assignment-table'
import { bucketSegment, MAX_BUCKETS, type SegmentId, type ShardId } from '../../placement/segment'
import type {
  Founding,
  HistoryEntry,
  PlanEntry,
  RetainedEntry,
  ShardEntry,
  TagRuleEntry,
  TopologyChange,
  TopologyDelta,
} from '../../topology-store'
import { retainedName } from '../retained-name'
import { DELTAS, HISTORY, type TopologySummary } from '../topology-assembly'
import { checkChange } from '../topology-checks'
import { faultOfDelta, foundingSeal } from '../topology-faults'
import type { Reply } from './connection'

/** The topology as it is kept in Redis, described in lua/topology.ts. */

/** Of the keys of a topology. Those of a newer format are refused, never guessed at. */
const FORMAT = 1

/** The first owners of all buckets in one text: bytes of an Int32Array, little-endian, in base64. */
interface StoredFounding {
  readonly shards: readonly ShardId[]
  readonly owners: string
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

/** The arguments of COMMIT_LUA. */
export function changeArguments(change: TopologyChange, channel: string, messageBytes: number): string[] {
  const { expect = {}, assignments = [], ...rest } = change
  const { founded, shards, tagRule, plan, history = [], retain = [], release = [] } = rest
  const text = (value: number | undefined) => (value === undefined ? '' : String(value))
  const json = (value: unknown) => (value === undefined ? '' : JSON.stringify(value))
  const args = [
    text(expect.revision),
    text(expect.term),
    expect.plan === undefined ? '' : expect.plan === null ? 'none' : `=${expect.plan}`,
    channel,
    String(DELTAS),
    String(HISTORY),
    JSON.stringify(rest),
    founded ? '1' : '',
    json(shards),
    json(shards?.map(({ id }) => id)),
    plan === null ? 'none' : json(plan),
    plan?.id ?? '',
    json(tagRule),
    String(messageBytes),
    ...[history, retain, release].map(({ length }) => String(length)),
  ]
  for (const entry of history) args.push(JSON.stringify(entry))
  for (const entry of retain) args.push(retainedName(entry), JSON.stringify(entry))
  for (const entry of release) args.push(retainedName(entry))
  for (const { segment, shard = '', epoch } of assignments)
    args.push(segment, shard, String(epoch), JSON.stringify([segment, shard, epoch]))
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

/** What READ_FIELDS answers; undefined where there is no topology. */
export function decodeSummary(reply: readonly Reply[]): Omit<TopologySummary, 'history'> | undefined {
  if (reply[0] === null) return undefined
  return readable(() => {
    const [id, revision, buckets, seed, founded, shards, plan, tagRule, format, seal] = reply.map((it) =>
      it === null ? '' : String(it),
    ) as string[] as [string, string, string, string, string, string, string, string, string, string]
    if (Number(format) !== FORMAT)
      throw new Error(`it has format ${format}, this version of foreshard reads format ${FORMAT}; update it`)
    if (seal !== foundingSeal({ id, buckets: Number(buckets), seed: Number(seed) }))
      throw new Error('its id, number of buckets or seed is not the one that it was founded with')
    return {
      id,
      revision: Number(revision),
      buckets: Number(buckets),
      seed: Number(seed),
      founded: founded === '1',
      shards: JSON.parse(shards) as ShardEntry[],
      tagRule: tagRule === '' ? undefined : (JSON.parse(tagRule) as TagRuleEntry),
      plan: plan === '' ? undefined : (parse(plan) as PlanEntry),
    }
  })
}

/** Of t, in this order. */
export const SUMMARY_FIELDS = [
  'id',
  'revision',
  'buckets',
  'seed',
  'founded',
  'shards',
  'plan',
  'tagRule',
  'format',
  'seal',
]

/** The first owner of every bucket. */
export function decodeFounding(reply: Reply, buckets: number): Assignment[] {
  return readable(() => {
    const { shards, owners } = JSON.parse(String(reply)) as StoredFounding
    const bytes = Buffer.from(owners, 'base64')
    if (bytes.length !== buckets * 4) throw new Error('the first owners are cut')
    return Array.from({ length: buckets }, (_, bucketId) => {
      const segment = bucketSegment(bucketId)
      const shard = shards[bytes.readInt32LE(bucketId * 4)]
      if (shard === undefined) throw new Error(`${segment} has no first owner`)
      return { segment, shard, epoch: 1 }
    })
  })
}

/** A field of t:a; undefined: the tag was merged. */
export function decodeAssignment(segment: Reply, value: Reply): Assignment | undefined {
  const text = String(value)
  const at = text.indexOf(' ')
  const epoch = Number(text.slice(0, at))
  if (at < 1 || !Number.isSafeInteger(epoch) || epoch < 1)
    throw unreadable(`the assignment of ${segment} is ${text}`)
  if (at + 1 === text.length) return undefined
  return { segment: String(segment) as SegmentId, shard: text.slice(at + 1), epoch }
}

export function decodeRetained(reply: Reply): RetainedEntry {
  return readable(() => {
    const entry = JSON.parse(String(reply)) as RetainedEntry
    retainedName(entry)
    return entry
  })
}

/** An entry of t:h: the revision that brought it, and the resharding. */
export function decodeHistory(reply: Reply): { revision: number; entry: HistoryEntry } {
  return readable(() => {
    const text = String(reply)
    const at = text.indexOf(' ')
    return { revision: Number(text.slice(0, at)), entry: JSON.parse(text.slice(at + 1)) as HistoryEntry }
  })
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
    throw unreadable((cause as Error).message, cause)
  }
}

function unreadable(what: string, cause?: unknown): ForeshardError {
  return new ForeshardError(
    ErrorCode.TOPOLOGY_CORRUPT,
    `the topology in Redis cannot be read: ${what}; restore its keys from a backup`,
    { cause },
  )
}
