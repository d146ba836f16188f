import type { FenceRecord, Proof } from '../placement/fence'
import { bucketSegment, type SegmentId, type ShardId } from '../placement/segment'
import type { EraseRequest } from '../shard-store'
import type { AssignmentEntry, RetainedEntry } from '../topology-store'
import type { Gate } from './gate'
import { Refusal } from './interruption'
import { segmentAt, step, type Work } from './work'

/** Keys deleted in one step of a shard: few enough that it never blocks for long. */
const ERASED_AT_ONCE = 500

/**
 * Step 8. The commit at the source has happened; from here on nobody can undo it, and any router that shows the proof may
 * come first.
 */
export async function activate(
  work: Work,
  segment: SegmentId,
  proof: Proof,
  gate = work.gate,
): Promise<FenceRecord> {
  return step(work, gate, 'activate', segment, async () => {
    const at = segmentAt(work, segment)
    const answer = await gate.ask(proof.shard, (store) => store.step(at, { step: 'activate', proof }))
    if (!answer.ok) throw new Refusal('activate', segment, proof.shard, answer.record)
    return answer.record
  })
}

/**
 * Steps 9 and 10. Assignment and retained copies are one change of the topology, so that no copy is ever forgotten. A late
 * publication has no effect: the epoch tells.
 */
export async function publish(
  work: Work,
  segment: SegmentId,
  assignments: readonly AssignmentEntry[],
  formerOwners: readonly { shard: ShardId; epoch: number }[] = [],
): Promise<void> {
  const until = work.clock.now() + work.plan.retainMs
  const retain: RetainedEntry[] = formerOwners.map(({ shard, epoch }) => ({ segment, shard, epoch, until }))
  await step(work, work.gate, 'publish', segment, async () => {
    await work.gate.askTopology((topology) =>
      topology.commit({ assignments, ...(retain.length > 0 && { retain }) }),
    )
    await work.gate.askTopology(() => work.topology.refresh())
  })
  if (work.plan.retainMs > 0) return
  for (const entry of retain)
    await step(work, work.gate, 'purge', segment, () => purge(work.gate, work, entry))
}

/** What a purge needs to know besides its gate. */
export type PurgeContext = Pick<Work, 'topology' | 'bucketOf'>

/**
 * The end of a grace period: the former owner's copy goes, then the new owner's trace, which would have told what to bring
 * back. False: not yet, a handoff stands in the way.
 */
export async function purge(
  gate: Gate,
  { topology, bucketOf }: PurgeContext,
  entry: RetainedEntry,
): Promise<boolean> {
  const { segment, shard, epoch } = entry
  const at = { segment, bucketId: bucketOf(segment) }
  // A shard that left the topology took its copy along.
  if (topology.shards.some((it) => it.id === shard)) {
    const refused = await erase(gate, shard, { ...at, step: 'purge', epoch })
    if (refused?.state === 'importing' && !(await discardAbandoned(gate, { topology, bucketOf }, entry)))
      return false
  }
  const owner = topology.assigned(segment)
  if (owner?.epoch === epoch && owner.shard !== shard) {
    const { ok, record } = await gate.ask(owner.shard, (store) => store.step(at, { step: 'untrace', epoch }))
    // A later owner's trace belongs to a later copy; an export may be the way back that builds on this one.
    if (!ok && record.state === 'owned' && record.epoch === epoch) return false
  }
  await gate.askTopology((store) => store.commit({ release: [{ segment, shard, epoch }] }))
  await gate.askTopology(() => topology.refresh())
  return true
}

/**
 * An import that was given up while its shard was out of reach. The source aborts first, here too. False: not now, since
 * someone may be importing the segment anew.
 */
async function discardAbandoned(
  gate: Gate,
  { topology, bucketOf }: PurgeContext,
  { segment, shard }: RetainedEntry,
): Promise<boolean> {
  if (topology.plan) return false
  const bucketId = bucketOf(segment)
  // Of a tag that is no segment any more the bucket's owner could still be asked to carve it out.
  const asked = topology.assigned(segment) ? segment : bucketSegment(bucketId)
  const source = topology.assigned(asked)!
  const ticket = await gate.askTopology((store) => store.drawTicket())
  const command = { step: 'abort', epoch: source.epoch, ticket } as const
  const { ok } = await gate.ask(source.shard, (store) => store.step({ segment: asked, bucketId }, command))
  return ok && (await discard(gate, { bucketOf }, segment, shard, ticket))
}

/** Ends an import of which the source has been told that it is aborted, and deletes what it had copied. */
export async function discard(
  gate: Gate,
  { bucketOf }: Pick<Work, 'bucketOf'>,
  segment: SegmentId,
  shard: ShardId,
  ticket: number,
): Promise<boolean> {
  const at = { segment, bucketId: bucketOf(segment) }
  const { ok, record } = await gate.ask(shard, (store) => store.step(at, { step: 'discard', ticket }))
  if (ok) await erase(gate, shard, { ...at, step: 'purge', epoch: record.epoch })
  return ok
}

/** Deletes in small steps what a sweep or a purge may delete. Answers the record where the shard refused to go on. */
export async function erase(
  gate: Gate,
  shard: ShardId,
  what:
    | Omit<Extract<EraseRequest, { step: 'purge' }>, 'limit'>
    | Omit<Extract<EraseRequest, { step: 'sweep' }>, 'limit'>,
): Promise<FenceRecord | undefined> {
  for (;;) {
    const answer = await gate.ask(shard, (store) => store.erase({ ...what, limit: ERASED_AT_ONCE }))
    if (!answer.ok) return answer.record
    if (answer.done) return undefined
  }
}
