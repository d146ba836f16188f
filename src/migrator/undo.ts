import { ErrorCode, isForeshardError } from '../errors'
import { bucketSegment, type SegmentId, type ShardId } from '../placement/segment'
import type { MoveEntry } from '../topology-store'
import { discard } from './completion'
import { isMistake } from './gate'
import { Refusal, Stop, Unsettled } from './interruption'
import { type Owner, settle } from './owner'
import { segmentAt, type Work } from './work'

/** Tickets drawn for one undoing, should others draw newer ones. */
const ATTEMPTS = 5

/**
 * Undoes what stands of a move, whoever began it; a handoff that has committed is finished instead. Both shards hear of a
 * newer ticket even if they show no trace of the move: a request of someone who died may still be on its way, and would
 * leave an export, an import or a carved tag of which nobody knows. Where it cannot be found out what stands, it is
 * Unsettled.
 */
export async function undo(work: Work, entry: MoveEntry): Promise<void> {
  for (let attempts = 1; ; attempts++) {
    try {
      if (await undoOnce(work, entry)) return
    } catch (error) {
      if (error instanceof Stop || isMistake(error)) throw error
      if (isForeshardError(error, ErrorCode.FENCE_CONFLICT)) throw error
      if (!(error instanceof Refusal) || attempts === ATTEMPTS) throw new Unsettled(entry.segment, error)
      await work.gate.pause(attempts)
    }
  }
}

async function undoOnce(work: Work, { segment, to }: MoveEntry): Promise<boolean> {
  const owner = await settle(work, segment)
  if (owner) return owner.shard === to || undoFrom(work, segment, owner, segment, to)
  // A tag that is no segment: its bucket's owner is the one who could still be asked to carve it out.
  const home = bucketSegment(work.bucketOf(segment))
  const host = await settle(work, home)
  return !host || undoFrom(work, home, host, segment, to)
}

/**
 * The source first: a source that does not know of the abort could still give the segment away. False: it has.
 * `asked` is what the source owns; `segment` is what the target may have begun to import.
 */
async function undoFrom(
  work: Work,
  asked: SegmentId,
  { shard: from, record }: Owner,
  segment: SegmentId,
  to: ShardId,
): Promise<boolean> {
  const { gate } = work
  const ticket = await gate.askTopology((topology) => topology.drawTicket())
  const command = { step: 'abort', epoch: record.epoch, ticket } as const
  const aborted = await gate.step('abort', segment, () =>
    gate.ask(from, (store) => store.step(segmentAt(work, asked), command)),
  )
  if (!aborted.ok) {
    if (aborted.record.state === 'moved' && aborted.record.epoch === record.epoch + 1) return false
    throw new Refusal('abort', segment, from, aborted.record)
  }
  const targets = new Set([to])
  if (asked === segment && record.export !== 0) targets.add(record.peer)
  for (const target of targets)
    if (target !== '' && target !== from) await clear(work, segment, target, ticket)
  return true
}

/**
 * What was copied is never served. A target out of reach keeps it for the time being, and the topology remembers that it
 * is to be purged.
 */
async function clear(work: Work, segment: SegmentId, shard: ShardId, ticket: number): Promise<void> {
  const { gate, clock } = work
  try {
    await gate.step('discard', segment, () => discard(gate, work, segment, shard, ticket))
  } catch (error) {
    if (error instanceof Stop) throw error
    const epoch = (work.topology.assigned(segment)?.epoch ?? 0) + 1
    const retain = [{ segment, shard, epoch, until: clock.now() }]
    await gate.askTopology((topology) => topology.commit({ retain }))
  }
}
