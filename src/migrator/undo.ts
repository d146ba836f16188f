import { ErrorCode, isForeshardError } from '../errors'
import type { FenceRecord } from '../placement/fence'
import type { SegmentId, ShardId } from '../placement/segment'
import type { MoveEntry } from '../topology-store'
import { erase } from './completion'
import type { Attempt } from './copy'
import { Refusal, Stop, Unsettled } from './interruption'
import { fenceOf, settle } from './owner'
import { segmentAt, type Work } from './work'

/** Tickets drawn for one undoing, should others draw newer ones. */
const ATTEMPTS = 5

/**
 * Undoes what stands of a move, whoever began it; a handoff that has committed is finished instead. `begun`: this
 * process began it, so that a request of its own may still be on the way, and both shards must hear of a newer ticket even
 * if they show no trace of it. Where it cannot be found out what stands, it is Unsettled.
 */
export async function undo(work: Work, entry: MoveEntry, begun: boolean): Promise<void> {
  for (let attempts = 1; ; attempts++) {
    try {
      if (await undoOnce(work, entry, begun)) return
    } catch (error) {
      if (error instanceof Stop || isForeshardError(error, ErrorCode.FENCE_CONFLICT)) throw error
      if (!(error instanceof Refusal) || attempts === ATTEMPTS) throw new Unsettled(entry.segment, error)
      await work.gate.pause(attempts)
    }
  }
}

async function undoOnce(work: Work, { segment, to }: MoveEntry, begun: boolean): Promise<boolean> {
  const owner = await settle(work, segment)
  if (!owner || owner.shard === to) return true
  const { shard: from, record } = owner
  const peer = record.export === 0 ? to : record.peer
  if (!begun && record.export === 0 && (await stateAt(work, peer, segment)) !== 'importing') return true
  const ticket = await work.gate.askTopology((topology) => topology.drawTicket())
  return abort(work, { segment, from, to: peer, epoch: record.epoch, ticket })
}

/** The source first: a source that does not know of the abort could still give the segment away. False: it has. */
async function abort(work: Work, { segment, from, to, epoch, ticket }: Attempt): Promise<boolean> {
  const { gate } = work
  const at = segmentAt(work, segment)
  const aborted = await gate.step('abort', segment, () =>
    gate.ask(from, (store) => store.step(at, { step: 'abort', epoch, ticket })),
  )
  if (!aborted.ok) {
    if (aborted.record.state === 'moved' && aborted.record.epoch === epoch + 1) return false
    throw new Refusal('abort', segment, from, aborted.record)
  }
  if (to === '') return true
  try {
    const discarded = await gate.step('discard', segment, () =>
      gate.ask(to, (store) => store.step(at, { step: 'discard', ticket })),
    )
    if (discarded.ok) await erase(gate, to, { ...at, step: 'purge', epoch: discarded.record.epoch })
  } catch (error) {
    // A target out of reach keeps what was copied. It is never served, and the next import sweeps it.
    if (error instanceof Stop) throw error
  }
  return true
}

async function stateAt(
  work: Work,
  shard: ShardId,
  segment: SegmentId,
): Promise<FenceRecord['state'] | undefined> {
  if (shard === '') return undefined
  try {
    return (await fenceOf(work, shard, segment)).state
  } catch (error) {
    if (error instanceof Stop) throw error
    return undefined
  }
}
