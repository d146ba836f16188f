import { ErrorCode, ForeshardError } from '../errors'
import { type FenceRecord, type Proof, proofOf } from '../placement/fence'
import {
  bucketSegment,
  isTagSegment,
  type SegmentId,
  type ShardId,
  tagOfSegment,
  tagSegment,
} from '../placement/segment'
import type { AssignmentEntry } from '../topology-store'
import { activate, publish } from './completion'
import { Stop } from './interruption'
import { segmentAt, type Work } from './work'

/** Who owns a segment by the fences, which alone decide. */
export interface Owner {
  readonly shard: ShardId
  readonly record: FenceRecord
}

export type Finding =
  | { readonly kind: 'owned'; readonly owner: Owner }
  /** A handoff has committed; its target waits for the proof. */
  | { readonly kind: 'committed'; readonly proof: Proof }
  /** No shard has it or gave it away. */
  | { readonly kind: 'nowhere' }
  | { readonly kind: 'conflict'; readonly what: string }

/** The takeover table: what stands, by the records of one segment on all shards. */
export function judge(records: ReadonlyMap<ShardId, FenceRecord>): Finding {
  const owners = [...records].filter(([, record]) => record.state === 'owned')
  if (owners.length > 1)
    return { kind: 'conflict', what: `${owners.map(([shard]) => shard).join(' and ')} both own it` }
  const [owner] = owners
  if (owner) return { kind: 'owned', owner: { shard: owner[0], record: owner[1] } }
  let last: Proof | undefined
  for (const record of records.values()) {
    const proof = proofOf(record)
    if (proof && proof.epoch > (last?.epoch ?? 0)) last = proof
  }
  if (!last) return { kind: 'nowhere' }
  const target = records.get(last.shard)
  if (target?.state === 'importing' && target.epoch === last.epoch && target.ticket === last.ticket)
    return { kind: 'committed', proof: last }
  return {
    kind: 'conflict',
    what: `it moved to ${last.shard} at epoch ${last.epoch}, which has it ${target?.state ?? 'out of reach'}`,
  }
}

/** Fences of several shards are not read in one instant: a contradiction counts when it is seen so many times. */
const LOOKS = 4

/**
 * Finds the owner, finishing a handoff that has committed: activate, publish, retain. Undefined for a tag that is not a
 * segment. Afterwards the topology says what the fences say.
 */
export async function settle(work: Work, segment: SegmentId): Promise<Owner | undefined> {
  for (let look = 1; ; look++) {
    await work.gate.askTopology(() => work.topology.refresh())
    // Whoever slept through his lease finds that others have ended the plan.
    if (work.topology.plan?.id !== work.plan.id) throw new Stop('lease lost')
    const assigned = work.topology.assigned(segment)
    if (!assigned) return undefined
    // Nearly always the topology is right, and one question enough.
    const record = await fenceOf(work, assigned.shard, segment).catch((error) => {
      if (error instanceof Stop) throw error
      return undefined
    })
    if (record?.state === 'owned' && record.epoch === assigned.epoch) return { shard: assigned.shard, record }
    const { records, unreachable } = await fencesOf(work, segment)
    const finding = judge(records)
    if (finding.kind === 'committed') {
      await activate(work, segment, finding.proof)
    } else if (finding.kind === 'owned') {
      const { owner } = finding
      await publishOwner(work, segment, owner, records)
      return owner
    } else if (isTagSegment(segment) && look === 1) {
      // It may have been folded back meanwhile, by someone who had no time to say so.
      await settle(work, bucketSegment(work.bucketOf(segment)))
    } else if (unreachable) {
      throw unreachable
    } else if (look === LOOKS) {
      throw new ForeshardError(
        ErrorCode.FENCE_CONFLICT,
        `${segment}: ${finding.kind === 'conflict' ? finding.what : 'no shard has a record of it'}; all data is kept`,
      )
    }
    if (look > 1) await work.gate.pause(look)
  }
}

/** The fence of one segment on one shard. */
export async function fenceOf(work: Work, shard: ShardId, segment: SegmentId): Promise<FenceRecord> {
  const [listing] = await work.gate.ask(shard, (store) => store.fences([segmentAt(work, segment)]))
  return listing!.record
}

async function fencesOf(work: Work, segment: SegmentId) {
  const records = new Map<ShardId, FenceRecord>()
  let unreachable: unknown
  for (const { id } of work.topology.shards) {
    try {
      records.set(id, await fenceOf(work, id, segment))
    } catch (error) {
      if (error instanceof Stop) throw error
      unreachable = error
    }
  }
  return { records, unreachable }
}

/**
 * What a migrator that died had not yet published, with the copies that its handoffs left behind. A bucket is published
 * together with the tags carved out of it and folded back into it, as split and merge would have done.
 */
async function publishOwner(
  work: Work,
  segment: SegmentId,
  { shard, record }: Owner,
  records: ReadonlyMap<ShardId, FenceRecord>,
): Promise<void> {
  const assigned = work.topology.assigned(segment)
  if (!assigned || assigned.epoch >= record.epoch) return
  const formerOwners = [...records]
    .filter(([, it]) => it.state === 'moved' && it.epoch > assigned.epoch)
    .map(([former, it]) => ({ shard: former, epoch: it.epoch }))
  // One that cannot be asked: at least it must be the last but one.
  if (!records.has(assigned.shard) && assigned.epoch + 1 === record.epoch)
    formerOwners.push({ shard: assigned.shard, epoch: record.epoch })
  const assignments: AssignmentEntry[] = [{ segment, shard, epoch: record.epoch }]
  if (!isTagSegment(segment)) {
    for (const tag of record.carved) {
      const carved = tagSegment(tag)
      if (work.topology.assigned(carved)) continue
      const { state, epoch } = await fenceOf(work, shard, carved)
      if (state === 'owned') assignments.push({ segment: carved, shard, epoch })
    }
    for (const known of work.topology.tagsOf(work.bucketOf(segment)))
      if (!record.carved.has(tagOfSegment(known)!))
        assignments.push({ segment: known, shard: undefined, epoch: record.epoch })
  }
  await publish(work, segment, assignments, formerOwners)
}
