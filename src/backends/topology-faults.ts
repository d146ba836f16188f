import { murmur3 } from '../placement/hash'
import { checkBuckets, checkShards } from '../placement/ring'
import { checkSegment, type SegmentId } from '../placement/segment'
import type { Topology, TopologyDelta } from '../topology-store'

/**
 * What is wrong with a document that a topology store kept: cut, altered, or written by something else. It names the
 * first field that cannot be; undefined for a sound one. The assignments are checked where they are decoded.
 */
export function faultOfTopology(topology: Omit<Topology, 'assignments'>): string | undefined {
  return faultIn(() => {
    const { id, revision, buckets, seed, founded, shards, plan, history, retained, tagRule } = topology
    text(id, 'id')
    whole(revision, 1, 'revision')
    checkBuckets(buckets)
    if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) wrong('seed')
    if (typeof founded !== 'boolean') wrong('founded')
    theShards(shards)
    if (tagRule !== undefined) theTagRule(tagRule)
    if (plan !== undefined) thePlan(plan, buckets)
    list(history, 'history').forEach((entry, i) => {
      theHistory(entry, `history[${i}]`, buckets)
    })
    list(retained, 'retained').forEach((entry, i) => {
      theRetained(entry, `retained[${i}]`, buckets)
    })
  })
}

/** The same of one change. `buckets`: of its topology. */
export function faultOfDelta(delta: TopologyDelta, buckets: number): string | undefined {
  return faultIn(() => {
    const { revision, founded, shards, tagRule, assignments, plan, history, retain, release } = record(
      delta,
      'the change',
    ) as Partial<TopologyDelta>
    whole(revision, 1, 'revision')
    if (founded !== undefined && founded !== true) wrong('founded')
    if (shards !== undefined) theShards(shards)
    if (tagRule !== undefined) theTagRule(tagRule)
    if (plan !== undefined && plan !== null) thePlan(plan, buckets)
    list(assignments ?? [], 'assignments').forEach((entry, i) => {
      const { segment, shard, epoch } = record(entry, `assignments[${i}]`)
      checkSegment(segment, buckets, `assignments[${i}].segment`)
      if (shard !== undefined) text(shard, `assignments[${i}].shard`)
      whole(epoch, 1, `assignments[${i}].epoch`)
    })
    list(history ?? [], 'history').forEach((entry, i) => {
      theHistory(entry, `history[${i}]`, buckets)
    })
    for (const name of ['retain', 'release'] as const)
      list((name === 'retain' ? retain : release) ?? [], name).forEach((entry, i) => {
        theRetained(entry, `${name}[${i}]`, buckets, name === 'release')
      })
  })
}

/**
 * Of what never changes and no shard would miss: with another seed every key would be looked for in another bucket, and
 * not be there. Stored beside it.
 */
export function foundingSeal({ id, buckets, seed }: Pick<Topology, 'id' | 'buckets' | 'seed'>): string {
  return murmur3(JSON.stringify([id, buckets, seed])).toString(16)
}

function faultIn(check: () => void): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

function theShards(shards: unknown): void {
  const entries = list(shards, 'shards').map((shard, i) => record(shard, `shards[${i}]`))
  checkShards(entries.map(({ id, weight }) => ({ id, weight }) as never))
  entries.forEach(({ state, incarnation }, i) => {
    if (state !== 'active' && state !== 'draining') wrong(`shards[${i}].state`)
    if (typeof incarnation !== 'string') wrong(`shards[${i}].incarnation`)
  })
}

function theTagRule(given: unknown): void {
  const { fingerprint, rules } = record(given, 'tagRule')
  text(fingerprint, 'tagRule.fingerprint')
  for (const rule of list(rules, 'tagRule.rules')) if (typeof rule !== 'string') wrong('tagRule.rules')
}

function thePlan(given: unknown, buckets: number): void {
  const plan = record(given, 'plan')
  text(plan.id, 'plan.id')
  list(plan.moves, 'plan.moves').forEach((move, i) => {
    const { segment, to, from } = record(move, `plan.moves[${i}]`)
    checkSegment(segment, buckets, `plan.moves[${i}].segment`)
    if (typeof to !== 'string' || typeof from !== 'string') wrong(`plan.moves[${i}]`)
  })
  for (const segment of list(plan.merges, 'plan.merges')) checkSegment(segment, buckets, 'plan.merges')
  if (typeof plan.reason !== 'string') wrong('plan.reason')
  for (const name of ['confidence', 'startedAt', 'retainMs', 'maxKeysPerSecond', 'maxBytesPerSecond'])
    if (!((plan[name] as number) >= 0)) wrong(`plan.${name}`)
  whole(plan.concurrency, 1, 'plan.concurrency')
  for (const name of ['verify', 'cancelled']) if (typeof plan[name] !== 'boolean') wrong(`plan.${name}`)
}

function theHistory(given: unknown, field: string, buckets: number): void {
  const entry = record(given, field)
  text(entry.id, `${field}.id`)
  if (typeof entry.reason !== 'string') wrong(`${field}.reason`)
  for (const name of ['at', 'confidence'])
    if (!Number.isFinite(entry[name] as number)) wrong(`${field}.${name}`)
  for (const name of ['before', 'merged'])
    for (const pair of list(entry[name], `${field}.${name}`)) {
      const [segment, shard] = list(pair, `${field}.${name}`)
      checkSegment(segment, buckets, `${field}.${name}`)
      if (typeof shard !== 'string') wrong(`${field}.${name}`)
    }
  for (const segment of list(entry.carved, `${field}.carved`))
    checkSegment(segment, buckets, `${field}.carved`)
}

function theRetained(given: unknown, field: string, buckets: number, named = false): void {
  const { segment, shard, epoch, until } = record(given, field)
  checkSegment(segment as SegmentId, buckets, `${field}.segment`)
  text(shard, `${field}.shard`)
  whole(epoch, 0, `${field}.epoch`)
  if (!named && !Number.isFinite(until as number)) wrong(`${field}.until`)
}

function text(value: unknown, field: string): void {
  if (typeof value !== 'string' || value === '') wrong(field)
}

function whole(value: unknown, least: number, field: string): void {
  if (!Number.isSafeInteger(value) || (value as number) < least) wrong(field)
}

function list(value: unknown, field: string): readonly unknown[] {
  return Array.isArray(value) ? value : wrong(field)
}

function record(value: unknown, field: string): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : wrong(field)
}

function wrong(field: string): never {
  throw new Error(`${field} is not what it should be`)
}
