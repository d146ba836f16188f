import { ErrorCode, ForeshardError } from '../../errors'
import {
  bucketOfSegment,
  bucketSegment,
  checkSegment,
  MAX_BUCKETS,
  type SegmentId,
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
import { retainedName } from '../retained-name'
import { faultOfDelta, faultOfTopology } from '../topology-faults'
import type { Cell, Row } from './connection'
import { binaries, hexOf, literals, numbers, textOf, texts } from './literal'

/** The topology as its tables hold it, described in sql/topology.ts. */

/** The parameters of create_1. */
export function foundingParameters(id: string, founding: Founding): Cell[] {
  const { buckets, seed, shards, owners, tagRule } = founding
  const entries: ShardEntry[] = shards.map(({ id, weight }) => ({
    id,
    weight,
    state: 'active',
    incarnation: '',
  }))
  return [
    id,
    buckets,
    seed,
    JSON.stringify(entries),
    texts(shards.map((it) => it.id)),
    tagRule ? JSON.stringify(tagRule) : null,
    numbers([...owners]),
  ]
}

/** The parameters of commit_1, but for its last four. */
export function changeParameters(change: TopologyChange): Cell[] {
  const { expect = {}, assignments = [], ...rest } = change
  const { founded = false, shards, tagRule, plan, history = [], retain = [], release = [] } = rest
  const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value))
  return [
    expect.revision ?? null,
    expect.term ?? null,
    expect.plan === undefined ? '' : expect.plan === null ? 'none' : `=${hexOf(expect.plan)}`,
    JSON.stringify(rest),
    String(founded),
    json(shards),
    shards ? texts(shards.map((it) => it.id)) : null,
    json(tagRule),
    plan === null ? '' : json(plan),
    plan ? hexOf(plan.id) : null,
    literals(history.map((it) => JSON.stringify(it))),
    literals(release.map(retainedName)),
    literals(retain.map(retainedName)),
    literals(retain.map((it) => JSON.stringify(it))),
    texts(assignments.map((it) => it.segment)),
    binaries(assignments.map((it) => (it.shard === undefined ? undefined : Buffer.from(it.shard)))),
    numbers(assignments.map((it) => it.epoch)),
  ]
}

/** A change out of its three lines. */
export function decodeDelta(text: string): TopologyDelta {
  return readable(() => {
    const [revision, rest, taken = ''] = text.split('\n') as [string, string, string?]
    const delta = { ...(parse(rest) as Omit<TopologyDelta, 'revision'>), revision: Number(revision) }
    const change = taken === '' ? delta : { ...delta, assignments: taken.split(',').map(assignmentOf) }
    const fault = faultOfDelta(change, MAX_BUCKETS)
    if (fault) throw new Error(`of a change, ${fault}`)
    return change
  })
}

function assignmentOf(text: string): AssignmentEntry {
  const [segment, shard, epoch] = text.split(':') as [string, string, string]
  return {
    segment: textOf(segment) as SegmentId,
    shard: shard === '' ? undefined : textOf(shard),
    epoch: Number(epoch),
  }
}

/** What the statement of sql/topology.ts read; undefined where there is no topology. */
export function decodeTopology(rows: readonly Row[]): Topology | undefined {
  const head = rows.find((row) => row[0] === 'topology')
  if (!head) return undefined
  const textsOf = (kind: string) => rows.filter((row) => row[0] === kind).map((row) => String(row[1]))
  return readable(() => {
    const [, id, revision, buckets, seed, founded, shards, tagRule, plan] = head
    const retained = textsOf('retained').map((it) => JSON.parse(it) as RetainedEntry)
    const topology = {
      id: String(id),
      revision: Number(revision),
      buckets: Number(buckets),
      seed: Number(seed),
      founded: founded === 'true',
      shards: JSON.parse(String(shards)) as ShardEntry[],
      tagRule: tagRule === null ? undefined : (JSON.parse(String(tagRule)) as TagRuleEntry),
      assignments: new StoredAssignments(Number(buckets), textsOf('assignment')),
      plan: plan === null ? undefined : (parse(String(plan)) as PlanEntry),
      history: textsOf('history').map((it) => JSON.parse(it) as HistoryEntry),
      retained: retained.sort((a, b) => a.until - b.until || (retainedName(a) < retainedName(b) ? -1 : 1)),
    }
    const fault = faultOfTopology(topology)
    if (fault) throw new Error(fault)
    return topology
  })
}

/** Every bucket, then every carved tag; tags stay in the texts in which they came until they are asked for. */
class StoredAssignments implements Iterable<AssignmentEntry> {
  readonly #buckets: AssignmentEntry[] = []
  readonly #tags: readonly string[]

  constructor(buckets: number, rows: readonly string[]) {
    // '#' is 23 in hex: the buckets, whose number was given at the founding, and beside them nothing but tags, '{'.
    this.#tags = rows.map((row) =>
      row
        .split(',')
        .filter((text) => {
          if (!text.startsWith('23')) return true
          const entry = assignmentOf(text)
          checkSegment(entry.segment, buckets, 'segment')
          this.#buckets[bucketOfSegment(entry.segment)!] = entry
          return false
        })
        .join(','),
    )
    for (let bucketId = 0; bucketId < buckets; bucketId++)
      if (!this.#buckets[bucketId]) throw new Error(`${bucketSegment(bucketId)} is not assigned`)
  }

  *[Symbol.iterator](): Iterator<AssignmentEntry> {
    yield* this.#buckets
    for (const text of this.#tags) if (text !== '') for (const tag of text.split(',')) yield assignmentOf(tag)
  }
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
      `the topology in Postgres cannot be read: ${(cause as Error).message}; restore its tables from a backup`,
      { cause },
    )
  }
}
