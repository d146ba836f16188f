import { ErrorCode, ForeshardError } from '../errors'
import { isTagSegment } from '../placement/segment'
import type { MoveEntry } from '../topology-store'
import { isMistake } from './gate'
import { handoff } from './handoff'
import { Refusal, Stop, Unsettled, Unsteady } from './interruption'
import { type Owner, settle } from './owner'
import { undo } from './undo'
import type { Work } from './work'

/** Attempts at one move. Each draws a ticket of its own: two that shared one would lose data. */
const ATTEMPTS = 5
/** The pause after an attempt that did not come through: 200 ms, 400 ms … */
const FIRST_PAUSE_MS = 200

/**
 * Brings one segment to its new shard: an attempt at a handoff, and where it is interrupted, what the fences then say. True
 * if it moved, false if it was there already.
 */
export async function move(work: Work, entry: MoveEntry): Promise<boolean> {
  const { segment, to } = entry
  let begun = false
  for (let attempts = 1; ; attempts++) {
    const owner = await ownerOf(work, entry).catch((error) => {
      throw begun && !(error instanceof Stop || isMistake(error)) ? new Unsettled(segment, error) : error
    })
    if (owner.shard === to) return begun
    let cause: unknown
    try {
      const ticket = await work.cancellable.askTopology((topology) => topology.drawTicket())
      await estimate(work, owner, entry)
      begun = true
      await handoff(work, { segment, from: owner.shard, to, epoch: owner.record.epoch, ticket })
      return true
    } catch (error) {
      if (error instanceof Stop) throw error
      cause = error
    }
    const again = attempts < ATTEMPTS && (cause instanceof Refusal || cause instanceof Unsteady)
    // After a refusal nothing is undone: someone with a newer ticket is at it, or the fences have changed. Who still has
    // the lease then takes over from what stands.
    if (begun && !(again && cause instanceof Refusal)) await undo(work, entry)
    if (!again) {
      if ((await ownerOf(work, entry)).shard === to) return true
      throw cause
    }
    work.board.retried(segment)
    await work.gate.pause(attempts, FIRST_PAUSE_MS)
  }
}

async function ownerOf(work: Work, { segment }: MoveEntry): Promise<Owner> {
  const owner = await settle(work, segment)
  if (owner) return owner
  throw new ForeshardError(ErrorCode.UNKNOWN_SEGMENT, `${segment} is not a segment of this topology`)
}

/** What is to be expected of a bucket: the mean of its shard. Only the forecast of the remaining time rests on it. */
async function estimate(work: Work, { shard }: Owner, { segment }: MoveEntry): Promise<void> {
  if (isTagSegment(segment)) return
  const keys = await work.meanKeys(shard)
  if (keys !== undefined) work.board.expect(segment, keys)
}
